// encodeSearch: a search plan's passes added to a call, with their buffers and uniforms.
import { HipError } from '@hip/mask-search';
import { bytesOf } from '../device/features.ts';
import type { GpuMask } from '../attention/mask.ts';
import type { Binding, BufferRange, GpuCall } from '../dispatch/call.ts';
import type { GpuTensor } from '../dispatch/tensor.ts';
import { SHAPE } from './code/shape.ts';
import { encodeEnvelope, part, type Envelopes } from './envelopes.ts';
import { capacityOf, envelopeBytes, envelopeRows, roleOf, type SearchPlan } from './plan.ts';
import type { KeyWindow, Slab } from './slabs.ts';

/** What a plan runs on. */
export interface SearchBuffers {
  /** [B, Tq, queryHeads, d] */
  readonly q: GpuTensor;
  /** [B, keyRows, Hkv, d] */
  readonly k: GpuTensor;
  /** Page of each run of tokens, when the plan reads keys through a page table. */
  readonly pages?: BufferRange | undefined;
  /** Kept beside a cache; computed by the call when absent. */
  readonly envelopes?: Envelopes | undefined;
  /** Receives the result. */
  readonly mask: GpuMask;
  /** First query head of this search within q and the mask. @defaultValue 0 */
  readonly headOffset?: number | undefined;
  /** First stage to run: earlier ones' outputs are in the scratch that `scratch` gives. @defaultValue 0 */
  readonly fromStage?: number | undefined;
  /** Stage before which to stop. @defaultValue all run */
  readonly toStage?: number | undefined;
  /** Scratch that outlives the call. @defaultValue the call's own */
  readonly scratch?: ((role: string, bytes: number) => BufferRange) | undefined;
  /**
   * Uniform buffers with {@link shapeUniform}'s bytes by the chunk of the envelope read (0: none), so that a prepared call follows
   * a growing cache. One slab only.
   */
  readonly shape?: ((envelopeChunk: number) => BufferRange) | undefined;
}

/** The uniform of one slab and key window. @param keys Tk now, at most the plan's */
export function shapeUniform(
  { request: { shape, config, keyRows = shape.keys, queryHeads = shape.heads } }: SearchPlan,
  slab: Slab,
  window: KeyWindow,
  {
    keys = shape.keys,
    lag = 0,
    headOffset = 0,
    envelopeChunks = 0,
  }: {
    readonly keys?: number;
    readonly lag?: number;
    readonly headOffset?: number;
    readonly envelopeChunks?: number;
  } = {},
): ArrayBuffer {
  return SHAPE.pack({
    queries: shape.queries,
    keys,
    lag,
    keyRows,
    heads: shape.heads,
    queryHeads,
    headOffset,
    kvHeads: shape.kvHeads,
    batchFirst: slab.batchFirst,
    queryBase: slab.queryBase,
    keyBase: window.base,
    keyFirst: window.first,
    keyEnd: Math.min(window.end, keys),
    firstBlock: slab.firstBlock,
    slabBlocks: slab.blocks,
    queryBlocks: Math.ceil(shape.queries / config.blockQ),
    scoreStride: slab.scoreStride,
    envelopeChunks,
  });
}

/** @throws HipError `invalid-shape` */
function check({ request }: SearchPlan, { q, k, mask }: SearchBuffers): void {
  const { shape, config, type, keyRows = shape.keys, queryHeads = shape.heads } = request;
  const { batch, queries, kvHeads, headDim } = shape;
  for (const [name, tensor, expected] of [
    ['q', q, batch * queries * queryHeads * headDim],
    ['k', k, batch * keyRows * kvHeads * headDim],
  ] as const) {
    if (tensor.length < expected || tensor.type !== type)
      throw new HipError(
        'invalid-shape',
        `${name} holds ${tensor.length} numbers in ${tensor.type}: the plan needs ${expected} in ${type}`,
        { name, length: tensor.length, type: tensor.type, expected },
      );
  }
  const expected = {
    batch,
    maskHeads: config.shareHeads ? 1 : queryHeads,
    queryBlocks: Math.ceil(queries / config.blockQ),
    capacity: capacityOf(config),
  };
  for (const [name, value] of Object.entries(expected) as [keyof typeof expected, number][]) {
    if (mask[name] !== value)
      throw new HipError('invalid-shape', `the mask's ${name} is ${mask[name]}: the plan writes ${value}`, {
        name,
        value: mask[name],
        expected: value,
      });
  }
}

/**
 * Adds the passes that find the mask.
 *
 * @throws HipError `invalid-shape`
 * @example
 * ```ts
 * const plan = planSearch({ shape, config: DEFAULT_CONFIG, type: 'f16', profile: context.profile, limits: context.limits });
 * const call = new GpuCall(context);
 * encodeSearch(call, plan, { q, k, mask });
 * call.submit();
 * ```
 */
export function encodeSearch(call: GpuCall, plan: SearchPlan, buffers: SearchBuffers): void {
  check(plan, buffers);
  const { request, slabs } = plan;
  const { fromStage = 0, toStage = Infinity } = buffers;
  const { shape, config } = request;
  if (buffers.shape && slabs.length !== 1)
    throw new HipError('internal', `the search takes ${slabs.length} slabs: a shape buffer serves one`, {
      slabs: slabs.length,
    });
  const scratch = new Map<string, BufferRange>();
  for (const [role, bytes] of Object.entries(plan.scratch))
    scratch.set(role, buffers.scratch?.(role, bytes) ?? { buffer: call.scratch(bytes, role), size: bytes });
  for (const summary of plan.envelopes) {
    const { chunk, score, store } = summary;
    const role = roleOf(summary);
    const given = buffers.envelopes?.buffer(summary);
    if (given) {
      scratch.set(role, given);
      continue;
    }
    const chunks = envelopeRows(shape.keys, config.sink, chunk);
    const bytes = envelopeBytes(shape, chunks, store);
    const buffer = { buffer: call.scratch(bytes, role), size: bytes };
    scratch.set(role, buffer);
    encodeEnvelope(call, plan, {
      k: buffers.k,
      pages: buffers.pages,
      envelope: buffer,
      chunk,
      score,
      store,
      chunks,
      firstChunk: 0,
      endChunk: chunks,
      keys: shape.keys,
    });
  }
  for (const slab of slabs) {
    for (const pass of slab.passes) {
      if (pass.stage < fromStage || pass.stage >= toStage) continue;
      const window = slab.windows[pass.window ?? 0]!;
      const chunk = Number(pass.buffers.find((role) => /^(?:envelope|moments)\//u.test(role))?.split('/')[1] ?? 0);
      const envelopeChunks =
        chunk === 0 ? 0 : (buffers.envelopes?.rows(chunk) ?? envelopeRows(shape.keys, config.sink, chunk));
      const bindings = pass.buffers.map((role): Binding => {
        switch (role) {
          case 'shape':
            return (
              buffers.shape?.(chunk) ?? {
                uniform: shapeUniform(plan, slab, window, { headOffset: buffers.headOffset ?? 0, envelopeChunks }),
              }
            );
          case 'q':
            // A prepared call's row may move.
            return part(buffers.q, buffers.shape ? wholeOf(buffers.q) : slab.query);
          case 'k':
            return part(buffers.k, window.range);
          case 'pages':
            return buffers.pages!;
          case 'mask/starts':
            return buffers.mask.starts;
          case 'mask/counts':
            return buffers.mask.counts;
          default:
            return scratch.get(role)!;
        }
      });
      call.pass({
        label: pass.label,
        pipeline: { label: pass.label, code: pass.code },
        bindings,
        workgroups: pass.workgroups,
      });
    }
  }
}

function wholeOf({ length, type }: GpuTensor): { readonly offset: number; readonly size: number } {
  return { offset: 0, size: length * bytesOf(type) };
}
