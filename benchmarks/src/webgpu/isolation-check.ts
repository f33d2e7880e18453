// Checks for a real device that a key which a row may not see does not reach it, NaN and infinity included: every tier, f32 and f16.
import {
  emptyTensor,
  encodeAttention,
  encodeDecode,
  GpuCall,
  GpuDecodeSession,
  KvCache,
  KvPool,
  readTensor,
  uploadMask,
  uploadTensor,
  type ElementType,
  type GpuContext,
  type Tier,
} from '@hip/kernels-webgpu';
import { attendedKeys, denseMask, searchBlockMask, type AttentionShape, type BlockMask } from '@hip/mask-search';
import { values as numbersOf } from './attention-check.ts';

const ODD = [Number.NaN, Infinity, -Infinity];

interface Case {
  readonly what: string;
  readonly shape: AttentionShape;
  readonly mask: BlockMask;
  readonly dense: boolean;
  readonly type: ElementType;
  readonly tier: Tier;
  readonly decode?: boolean;
}

/** Rows [row, head] that attend to a key. */
function seers(mask: BlockMask, shape: AttentionShape, key: number): Set<number> {
  const rows = new Set<number>();
  for (let row = 0; row < shape.queries; row++)
    for (let head = 0; head < shape.heads; head++)
      for (const seen of attendedKeys(mask, shape, 0, head, row)) if (seen === key) rows.add(row * shape.heads + head);
  return rows;
}

async function check(context: GpuContext, item: Case): Promise<Record<string, unknown>> {
  const { what, shape, mask, dense, type, tier, decode } = item;
  const { queries, keys, heads, headDim } = shape;
  const values = [queries * heads, keys, keys].map((count, i) => numbersOf(count * headDim, i + 1)) as [
    Float32Array,
    Float32Array,
    Float32Array,
  ];
  const held = dense ? undefined : uploadMask(context, mask);
  const run = async ([q, k, v]: typeof values): Promise<{ out: Float32Array; variant: unknown }> => {
    const tensors = {
      q: uploadTensor(context, q, type),
      k: uploadTensor(context, k, type),
      v: uploadTensor(context, v, type),
      out: emptyTensor({ context, type, length: q.length }),
    };
    const call = new GpuCall(context);
    const plan = decode
      ? encodeDecode(call, tensors, shape, held)
      : encodeAttention(call, tensors, shape, held, { tier });
    call.submit();
    const out = await readTensor(context, tensors.out);
    for (const { buffer } of Object.values(tensors)) buffer.destroy();
    return { out, variant: 'variant' in plan ? plan.variant : 'decode' };
  };
  const clean = await run(values);
  let moved = 0;
  let silent = 0;
  for (const value of ODD) {
    for (const name of [1, 2] as const) {
      for (const key of [0, 1, Math.floor(keys / 3), keys - queries + 17, keys - 40, keys - 1]) {
        const odd = [...values] as typeof values;
        odd[name] = values[name].map((x, i) => (Math.floor(i / headDim) === key && i % 3 === 0 ? value : x));
        const { out } = await run(odd);
        const touched = seers(mask, shape, key);
        for (let row = 0; row < queries * heads; row++) {
          const [a, b] = [out, clean.out].map((all) => all.subarray(row * headDim, (row + 1) * headDim)) as [
            Float32Array,
            Float32Array,
          ];
          if (!touched.has(row)) moved += Number(!a.every((x, i) => Object.is(x, b[i])));
          // A key of −∞ may weigh nothing.
          else if (name === 2 || Number.isNaN(value)) silent += Number(a.every(Number.isFinite));
        }
      }
    }
  }
  return {
    check: `isolation, ${what}`,
    type,
    tier,
    headDim,
    variant: clean.variant,
    moved,
    silent,
    ok: moved + silent === 0,
  };
}

/** One sequence's steps beside another of the same pool, and pages of a disposed one, that hold NaN. */
async function neighbours(context: GpuContext): Promise<Record<string, unknown>> {
  const [heads, kvHeads, headDim, prompt] = [8, 2, 128, 1000];
  const run = async (value: number | undefined): Promise<Float32Array> => {
    using pool = new KvPool(context, { kvHeads, headDim, pageTokens: 64, tokens: 8192 });
    const session = (): GpuDecodeSession =>
      new GpuDecodeSession(new KvCache(pool, { maxTokens: 4096 }), { heads, config: { k: 128 } });
    const tensors = (tokens: number, seed: number, odd?: number) => {
      const of = (count: number, s: number, filler?: number) => {
        const numbers = numbersOf(tokens * count * headDim, s);
        return uploadTensor(context, filler === undefined ? numbers : numbers.fill(filler), 'f16');
      };
      return {
        q: of(heads, seed),
        k: of(kvHeads, seed + 1, odd),
        v: of(kvHeads, seed + 2, odd),
        out: emptyTensor({ context, type: 'f16', length: tokens * heads * headDim }),
      };
    };
    const [gone, other] = [session(), session()];
    gone.prefill(tensors(700, 50, value), 700);
    other.prefill(tensors(300, 60, value), 300);
    gone.destroy();
    gone.cache.dispose();
    const own = session();
    const first = tensors(prompt, 70);
    own.prefill(first, prompt);
    const parts = [await readTensor(context, first.out)];
    for (let i = 0; i < 12; i++) {
      const step = tensors(1, 80 + 3 * i);
      own.step(step);
      other.step(tensors(1, 200 + 3 * i, value));
      parts.push(await readTensor(context, step.out));
    }
    return Float32Array.from(parts.flatMap((part) => [...part]));
  };
  const clean = await run(undefined);
  const odd = await run(Number.NaN);
  let moved = 0;
  clean.forEach((x, i) => (moved += Number(!Object.is(x, odd[i]))));
  return {
    check: 'isolation, sequences of one pool',
    type: 'f16',
    moved,
    ok: moved === 0 && clean.every(Number.isFinite),
  };
}

/** Every tier of the device. */
export async function isolationChecks(
  context: GpuContext,
  { tiny = false, log }: { tiny?: boolean; log?: (line: string) => void } = {},
): Promise<Record<string, unknown>[]> {
  const order: readonly Tier[] = ['basic', 'subgroups', 'subgroup-matrix'];
  const tiers = order.slice(0, order.indexOf(context.profile.tier) + 1);
  const cases: Case[] = [];
  for (const tier of tiers) {
    for (const headDim of tiny ? [16] : tier === 'subgroup-matrix' ? [16, 48, 64, 80, 128, 256] : [40, 128, 512]) {
      const shape = { batch: 1, queries: tiny ? 20 : 150, keys: tiny ? 60 : 333, heads: 2, kvHeads: 1, headDim };
      const [q, k] = [shape.queries * 2, shape.keys].map((count, i) => numbersOf(count * headDim, i + 1)) as [
        Float32Array,
        Float32Array,
      ];
      const sparse = searchBlockMask(q, k, shape, {
        k: 64,
        blockQ: 32,
        window: 40,
        sink: 5,
        blockK: 8,
        stages: undefined,
      });
      for (const type of tier === 'subgroup-matrix' ? (['f16'] as const) : (['f32', 'f16'] as const)) {
        cases.push({ what: 'dense', shape, mask: denseMask(shape, true), dense: true, type, tier });
        cases.push({ what: 'sparse', shape, mask: sparse, dense: false, type, tier });
        if (tier === 'basic')
          cases.push({ what: 'decode', shape, mask: sparse, dense: false, type, tier, decode: true });
      }
    }
  }
  const rows: Record<string, unknown>[] = [];
  for (const item of cases) {
    const row = await check(context, item);
    rows.push(row);
    log?.(JSON.stringify(row));
  }
  if (!tiny) {
    const row = await neighbours(context);
    rows.push(row);
    log?.(JSON.stringify(row));
  }
  log?.(`isolation checks: ${rows.filter(({ ok }) => ok).length} of ${rows.length} pass`);
  return rows;
}
