// A step of a layer whose cold pages lie on the host: what needs only summaries, then the pages that its survivors lie in, then the rest.
import { HipError } from '@hip/mask-search';
import type { KvCache } from '../cache/kv-cache.ts';
import { GpuCall } from '../dispatch/call.ts';
import type { Timer } from '../dispatch/timer.ts';
import type { LayerAttention, LayerStep } from './layer-attention.ts';
import { firstKeyStage, neededPages, survivorPages } from './offload.ts';
import type { StepPart } from './searched-steps.ts';
import type { StepTensors } from './tensors.ts';

export interface OffloadedStep {
  readonly tensors: StepTensors;
  readonly timer?: Timer | undefined;
  /** Submits a part of the step. */
  readonly submit: (part: StepPart) => void;
}

/** The step's passes, submitted; the token is not counted yet. @throws HipError `out-of-memory` when the pages do not fit the device */
export async function runOffloadedStep(
  attention: LayerAttention,
  { isSearched, stage }: LayerStep,
  { tensors, timer, submit }: OffloadedStep,
): Promise<void> {
  const { cache, layer } = attention;
  const { pool } = cache;
  const { state } = attention;
  if (!isSearched || !state) {
    if (bringSeen(cache, layer.window)) submit('whole');
    else {
      // More pages than the device holds at once: side by side, as for a chunk of one row.
      using call = new GpuCall(pool.context);
      pool.context.watch(
        (error) => cache.fail(error),
        () => {
          attention.encodeChunk(call, tensors, 1);
          call.submit(timer);
        },
      );
    }
    return;
  }
  const config = layer.stepConfig!;
  const key = firstKeyStage(config);
  submit('before');
  if (stage !== undefined && stage < Math.max(1, key)) {
    const survivors = state.views.map(({ scratch, plan, headFirst }) =>
      config.shareHeads
        ? { scratch, maskHeads: 1, firstMaskHead: 0 }
        : { scratch, maskHeads: plan.request.shape.heads, firstMaskHead: headFirst },
    );
    state.candidatePages = await survivorPages(cache, config, key, state.mask, survivors);
  }
  const { sink, window } = config;
  pool.load(pool.planner.require(neededPages(cache, state.candidatePages, sink, window + layer.interval + 1)));
  cache.writeTable();
  submit('after');
}

/** Brings every page that a row attends to, where all of them fit. */
function bringSeen(cache: KvCache, window: number | undefined): boolean {
  const { pool } = cache;
  const oldest = window === undefined ? 0 : Math.max(0, cache.length + 1 - window);
  const pages = cache.pages.slice(Math.floor(oldest / pool.pageTokens));
  if (pages.length > pool.planner.slots) return false;
  try {
    pool.load(pool.planner.require(pages));
  } catch (error) {
    // Others' pages are pinned, or have no host copy yet.
    if (error instanceof HipError && error.code === 'out-of-memory') return false;
    throw error;
  }
  cache.writeTable();
  return true;
}
