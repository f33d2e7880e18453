// Picks one sub-network of the front and makes it a checkpoint that stands on its own.
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { extractSubnet, fullSubnet, genesToSubnet, type ElasticModel, type SubnetConfig } from '@instatune/supernet';
import { pick, SearchError, type SearchResult } from '@instatune/search';
import { DemoError } from './errors.ts';
import { lossOf, type TrainingData } from './fine-tune.ts';
import { loadModel } from './model.ts';
import type { DemoOptions } from './options.ts';
import type { Chosen } from './result.ts';
import { describeSubnet } from './search.ts';

/** How far the loss of the checkpoint, loaded again, may be from the sub-network's inside the super-network: float32 rounding. */
const RELOAD_TOLERANCE = 1e-3;
/** The checkpoint's folder inside the run's. */
const CHECKPOINT = 'model';

/**
 * Within the user's budget the best by what the budget leaves free; without one the knee among what is cheaper than the full model and
 * no worse than the pretrained one.
 *
 * @throws DemoError `no-candidate` when nothing on the front is within the budget
 */
export function pickSubnet(
  result: SearchResult,
  options: DemoOptions,
  pretrainedLoss: number,
): { readonly genes: readonly number[]; readonly rule: string } {
  if (options.budget.length > 0) {
    try {
      const { point, rule } = pick(result, { budget: options.budget });
      return { genes: point.genes, rule };
    } catch (cause) {
      if (!(cause instanceof SearchError) || cause.code !== 'empty-front') throw cause;
      throw new DemoError('no-candidate', `${cause.message}: widen --budget or --max-loss`, { cause });
    }
  }
  const sensible = [`${options.search.cost} <= 0.99x`, `loss <= ${pretrainedLoss}`];
  try {
    const { point } = pick(result, { budget: sensible });
    return { genes: point.genes, rule: 'the knee of the front' };
  } catch (error) {
    if (!(error instanceof SearchError) || error.code !== 'empty-front') throw error;
    const { point } = pick(result);
    return {
      genes: point.genes,
      rule: 'the knee of the front (nothing on it is both cheaper than the full model and no worse than the pretrained one)',
    };
  }
}

export interface ChooseInputs {
  readonly model: ElasticModel;
  readonly data: TrainingData;
  readonly options: DemoOptions;
  readonly result: SearchResult;
  /** Latencies of the front, in its order, and of the full model: measured once, so that the chosen one is a point of the front. */
  readonly latencies: { readonly front: readonly number[]; readonly full: number };
  readonly pretrained: { readonly loss: number; readonly reportLoss: number };
  readonly fineTuned: { readonly loss: number; readonly reportLoss: number };
  /** The new checkpoint goes to its folder `model`. */
  readonly out: string;
  readonly signal: AbortSignal;
}

/** Picks, extracts, loads again. @throws DemoError `no-candidate`, `corrupt-checkpoint` when what was written does not load as it was */
export async function chooseSubnet({
  model,
  data,
  options,
  result,
  latencies,
  pretrained,
  fineTuned,
  out,
  signal,
}: ChooseInputs): Promise<Chosen> {
  const folder = join(out, CHECKPOINT);
  const { genes, rule } = pickSubnet(result, options, pretrained.loss);
  const subnet: SubnetConfig = genesToSubnet(model.space, genes);
  const full = fullSubnet(model.space);
  const latencyMs = latencies.front[result.front.findIndex((point) => String(point.genes) === String(genes))]!;
  rmSync(folder, { recursive: true, force: true });
  await extractSubnet(model, subnet, folder, { signal });
  const loss = await lossOf(model, data.validation, { subnet, signal });
  const alone = await loadModel(folder);
  try {
    const again = await lossOf(alone.model, data.validation, { signal });
    if (!(Math.abs(again - loss) <= RELOAD_TOLERANCE)) {
      throw new DemoError(
        'corrupt-checkpoint',
        `the checkpoint written to "${folder}" has loss ${again} when it is loaded again, not ${loss}: check the disk and run again`,
      );
    }
    const baseline = describeSubnet(model, full, { latencyMs: latencies.full, loss: fineTuned.loss });
    return {
      ...describeSubnet(model, subnet, { latencyMs, loss }),
      rule,
      reportLoss: await lossOf(alone.model, data.report, { signal }),
      checkpoint: CHECKPOINT,
      baseline: {
        macs: baseline.macs,
        parameters: baseline.parameters,
        latencyMs: latencies.full,
        lossPretrained: pretrained.loss,
        lossFineTuned: fineTuned.loss,
        reportLossPretrained: pretrained.reportLoss,
        reportLossFineTuned: fineTuned.reportLoss,
      },
    };
  } finally {
    alone.model.dispose();
  }
}
