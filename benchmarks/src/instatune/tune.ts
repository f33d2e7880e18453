// A chosen sub-network by itself: fitted again, distilled longer, reported.
import { countParameters, extractModel, SupernetError, type ElasticModel } from '@instatune/supernet';
import type { Trained } from './kept.ts';
import type { Score } from './per-example.ts';
import type { Pick } from './picks.ts';
import { round } from './rows.ts';
import { startOf } from './start.ts';
import type { SubNetworkOptions } from './sub-networks.ts';
import type { Tuning } from './tasks.ts';

/** No sub-network is begun with less time than this. */
const LEAST_SECONDS = 8;
/** Steps of a rate's try, as a share of all. */
const TRY = 1 / 12;
/** Examples of a batch that a sub-network is fitted on, at most. */
const CALIBRATION_BATCH = 64;

interface Tuned {
  readonly model: ElasticModel;
  readonly trained: Trained;
  readonly learningRate: number;
  readonly searched: Score;
}

/** A sub-network by itself, distilled longer: what is left to gain once a size is chosen. */
export async function tuneByItself(
  options: SubNetworkOptions,
  pick: Pick,
  full: number,
  tuning: Tuning,
): Promise<void> {
  const { recipe, superNetwork, search, rows, distil, log, task } = options;
  const seconds = options.secondsToTune();
  if (seconds < LEAST_SECONDS) return log(`${task.name}: no time is left for a sub-network by itself`);
  const { subnet } = pick.point;
  const { steps } = tuning;
  const begun = performance.now();
  const start = await startOf(subnet, {
    superNetwork,
    train: options.train,
    examples: recipe.reconstruct ?? 0,
    batchSize: Math.min(recipe.batchSize, CALIBRATION_BATCH),
    lossOf: async (model) => (await rows.score(model, search)).loss,
  });
  if (start.fit) {
    const { cutLoss, fittedLoss, seconds: taken } = start.fit;
    const losses = { searchLossCut: round(cutLoss, 4), searchLossFitted: round(fittedLoss, 4) };
    rows.emit('sub-network, fitted', { bestWithin: pick.share, ...losses, seconds: round(taken, 1) });
  }
  const tuned = async (rate: number, count: number): Promise<Tuned> => {
    const model = await extractModel(start.model);
    const learningRate = recipe.learningRate * rate;
    try {
      const left = seconds - (performance.now() - begun) / 1000;
      const trained = await distil(model, { steps: count, learningRate }, left);
      return { model, trained, learningRate, searched: await rows.score(model, search) };
    } catch (error) {
      model.dispose();
      throw error;
    }
  };
  const lossAt = async (candidate: number): Promise<number> => {
    try {
      const { model, searched } = await tuned(candidate, Math.max(1, Math.round(steps * TRY)));
      model.dispose();
      return searched.loss;
    } catch (error) {
      if (error instanceof SupernetError && error.code === 'non-finite') return Number.POSITIVE_INFINITY;
      throw error;
    }
  };
  const bestOf = async (rates: readonly number[]): Promise<number> => {
    let [best, least] = [Number.NaN, Number.POSITIVE_INFINITY];
    for (const rate of rates) {
      const loss = await lossAt(rate);
      log(`${task.name}: tuned at ${rate} times the rate: ${round(loss, 4)}`);
      if (loss < least) [best, least] = [rate, loss];
    }
    if (!Number.isNaN(best)) return best;
    throw new Error(`${task.name}: none of the rates ${rates.join(', ')} can be trained with`);
  };
  try {
    const rate = typeof tuning.rate === 'number' ? tuning.rate : await bestOf(tuning.rate);
    await reportTuned(options, pick, full, await tuned(rate, steps));
  } finally {
    start.model.dispose();
  }
}

async function reportTuned(
  { superNetwork, report, rows }: SubNetworkOptions,
  pick: Pick,
  full: number,
  { model, trained, learningRate, searched }: Tuned,
): Promise<void> {
  try {
    const reported = await rows.score(model, report);
    rows.subNetwork(
      'sub-network, fine-tuned on',
      pick,
      full,
      { reported, searched },
      {
        parameters: countParameters(superNetwork.config, pick.point.subnet),
        steps: trained.steps,
        learningRate: Number(learningRate.toPrecision(3)),
        trainingLoss: round(trained.loss, 4),
        trainingSeconds: round(trained.seconds, 1),
      },
    );
  } finally {
    model.dispose();
  }
}
