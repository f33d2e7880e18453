// Rows of attention alone: dense flash attention, and block-sparse attention over the keys HiP would keep, variant by variant.
import {
  allocateMask,
  destroyMask,
  emptyTensor,
  encodeAttention,
  GpuCall,
  type AttentionVariant,
  type GpuContext,
  type GpuMask,
  type Tier,
} from '@hip/kernels-webgpu';
import { DEFAULT_CONFIG } from '@hip/mask-search';
import { measure } from './measure.ts';
import { randomTensor } from './random.ts';
import { LLAMA } from './search.ts';

export interface AttentionRowOptions {
  readonly tokens: number;
  readonly heads?: number;
  readonly kvHeads?: number;
  readonly headDim?: number;
  readonly variants?: readonly (AttentionVariant | undefined)[];
  readonly tier?: Tier | undefined;
  readonly runs?: number;
  /** Stop before another variant once performance.now() passes this. */
  readonly deadline?: number;
  readonly log?: (line: string) => void;
}

type Tensors = Record<'q' | 'k' | 'v' | 'out', ReturnType<typeof emptyTensor>>;

/** q·kᵀ and p·v of one row pair: 4·d. */
function flops(pairs: number, headDim: number): number {
  return 4 * pairs * headDim;
}

/** A mask of the default configuration's shape with evenly spread random blocks: every slot is used where keys suffice. */
export async function spreadMask(
  context: GpuContext,
  tokens: number,
  heads: number,
): Promise<{ mask: GpuMask; pairs: number }> {
  const { blockQ, blockK, sink, window, k } = DEFAULT_CONFIG;
  const capacity = k / blockK;
  const queryBlocks = Math.ceil(tokens / blockQ);
  const mask = allocateMask(context, {
    batch: 1,
    maskHeads: heads,
    queryBlocks,
    capacity,
    blockQ,
    blockK,
    queries: tokens,
    keys: tokens,
    sink,
    window,
    causal: true,
  });
  const starts = new Int32Array(heads * queryBlocks * capacity).fill(-1);
  const counts = new Int32Array(heads * queryBlocks);
  let pairs = 0;
  for (let head = 0; head < heads; head++) {
    for (let block = 0; block < queryBlocks; block++) {
      const rows = Math.min(blockQ, tokens - block * blockQ);
      const last = block * blockQ + rows - 1;
      const blocks = Math.max(0, Math.floor((last + 1 - window - sink) / blockK));
      const count = Math.min(capacity, blocks);
      const cell = head * queryBlocks + block;
      counts[cell] = count;
      for (let i = 0; i < count; i++)
        starts[cell * capacity + i] =
          sink + blockK * Math.floor(((i + ((head * 7 + block * 13) % 16) / 16) * blocks) / count);
      pairs += rows * Math.min(last + 1, count * blockK + sink + window);
    }
  }
  context.device.queue.writeBuffer(mask.starts.buffer, 0, starts);
  context.device.queue.writeBuffer(mask.counts.buffer, 0, counts);
  return { mask, pairs };
}

async function rowsOf(
  context: GpuContext,
  what: string,
  {
    tokens,
    heads = LLAMA.heads,
    kvHeads = LLAMA.kvHeads,
    headDim = LLAMA.headDim,
    variants = [undefined],
    tier,
    runs = 3,
    deadline = Infinity,
    log,
  }: AttentionRowOptions,
  mask: GpuMask | undefined,
  pairs: number,
): Promise<Record<string, unknown>[]> {
  const rows: Record<string, unknown>[] = [];
  const shape = { batch: 1, queries: tokens, keys: tokens, heads, kvHeads, headDim };
  const q = randomTensor(context, 'f16', tokens * heads * headDim, 1);
  const tensors: Tensors = {
    q,
    k: randomTensor(context, 'f16', tokens * kvHeads * headDim, 2),
    v: randomTensor(context, 'f16', tokens * kvHeads * headDim, 3),
    out: emptyTensor({ context, type: 'f16', length: q.length }),
  };
  for (const variant of variants) {
    if (performance.now() > deadline) break;
    try {
      const call = new GpuCall(context);
      const plan = encodeAttention(call, tensors, shape, mask, { variant, tier });
      const prepared = call.prepare();
      const { gpuMs, wallMs } = await measure(context, (timer) => prepared.submit(timer), { runs, wallRuns: runs });
      prepared.release();
      const total = flops(pairs, headDim);
      rows.push({
        what,
        tokens,
        heads,
        kvHeads,
        headDim,
        variant: plan.variant,
        gpuMs,
        wallMs,
        tflops: total / gpuMs / 1e9,
        tflopsWall: total / wallMs / 1e9,
        scratchBytes: plan.scratchBytes,
      });
    } catch (error) {
      rows.push({ what, tokens, variant, failure: String(error).slice(0, 300) });
    }
    log?.(JSON.stringify(rows.at(-1)));
  }
  for (const { buffer } of Object.values(tensors)) buffer.destroy();
  return rows;
}

/** Dense causal flash attention. */
export async function denseRows(context: GpuContext, options: AttentionRowOptions): Promise<Record<string, unknown>[]> {
  const { tokens, heads = LLAMA.heads } = options;
  return rowsOf(context, 'dense flash attention', options, undefined, (heads * tokens * (tokens + 1)) / 2);
}

/** Block-sparse attention alone, over a spread mask. */
export async function sparseRows(
  context: GpuContext,
  options: AttentionRowOptions,
): Promise<Record<string, unknown>[]> {
  const { mask, pairs } = await spreadMask(context, options.tokens, options.heads ?? LLAMA.heads);
  try {
    return await rowsOf(context, 'block-sparse attention', options, mask, pairs);
  } finally {
    destroyMask(mask);
  }
}
