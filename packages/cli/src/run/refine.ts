// The chosen sub-network by itself: fitted again, fine-tuned on from the full network, each kept where it is as good at least.
import { extractModel, type ElasticModel, type LossPoint, type SubnetConfig } from '@instatune/supernet';
import { digest } from '../data/digest.ts';
import type { TaskData } from '../data/task.ts';
import { isAsGood, qualityOf, type Quality } from '../steps/quality.ts';
import type { ResolvedSettings } from '../steps/settings.ts';
import type { Journal } from './journal.ts';
import { canReconstruct, reconstructed } from './reconstruct.ts';

/** Share of the labels where the chosen network learns from the full one. */
const ALPHA = 0.3;

/** What is refined, and how. */
export interface RefineOptions {
  readonly data: TaskData;
  readonly settings: ResolvedSettings;
  /** The super-network, trained. */
  readonly model: ElasticModel;
  readonly subnet: SubnetConfig;
  readonly signal: AbortSignal | undefined;
}

/** The refined network. */
export interface Refined {
  /** The caller disposes it. */
  readonly model: ElasticModel;
  readonly history: readonly LossPoint[];
  /** Quality on the search's data. */
  readonly values: Quality;
}

interface Candidate {
  readonly model: ElasticModel;
  readonly values: Quality;
}

/** Fits and fine-tunes the chosen one. @throws SupernetError of the steps, `aborted` among them */
export async function refine(journal: Journal, options: RefineOptions): Promise<Refined> {
  const { settings, signal, data } = options;
  const { tuneSteps: steps, reconstruct } = settings;
  const { record, store } = journal;
  const key = await digest([record.chosen?.key, steps, reconstruct]);
  if (record.refined && record.refined.key !== key) await store.forget('refine');
  const cut = await cutOf(journal, options);
  if (steps === 0) {
    await journal.note({ refined: { key, kept: false, values: { ...cut.values } } });
    return { ...cut, history: [] };
  }
  let [best, other, history]: [Candidate, ElasticModel, readonly LossPoint[]] = [cut, cut.model, []];
  try {
    other = await extractModel(cut.model);
    history = await journal.train('refine', other, 'refine', {
      data: data.train,
      settings,
      strategy: 'kd-only',
      gamma: 1,
      alpha: ALPHA,
      teacher: options.model,
      steps,
      signal,
    });
    const values = await qualityOf(other, data.validation, data, { signal });
    if (isAsGood(values, cut.values, data)) [best, other] = [{ model: other, values }, cut.model];
  } catch (error) {
    cut.model.dispose();
    throw error;
  } finally {
    if (other !== best.model) other.dispose();
  }
  await journal.note({ refined: { key, kept: best !== cut, values: { ...best.values } } });
  return { ...best, history };
}

/** The chosen one as it is cut, or with its output projections fitted again. */
async function cutOf(journal: Journal, { data, settings, model, subnet, signal }: RefineOptions): Promise<Candidate> {
  const { chosen, reconstructed: earlier } = journal.record;
  const { key } = chosen!;
  const cut = await extractModel(model, subnet);
  let fitted: ElasticModel | undefined;
  try {
    const before = await qualityOf(cut, data.validation, data, { signal });
    const isWanted = settings.reconstruct && canReconstruct(model, subnet);
    if (!isWanted && earlier) await journal.note({ reconstructed: undefined });
    // One that did no good is not fitted once more when the run goes on.
    if (!isWanted || (earlier?.key === key && !earlier.kept)) return { model: cut, values: before };
    const start = performance.now();
    fitted = await reconstructed(model, subnet, {
      train: data.train,
      steps: settings.steps,
      batchSize: settings.batchSize,
      signal,
      onProgress: ({ done, total }) => {
        const eta = ((performance.now() - start) / 1000 / done) * (total - done);
        journal.tell('refine', done, total, eta, 'fitting projections again');
      },
    });
    const after = await qualityOf(fitted, data.validation, data, { signal });
    const kept = isAsGood(after, before, data);
    await journal.note({ reconstructed: { key, kept, before: { ...before }, after: { ...after } } });
    await journal.finish('refine', start);
    (kept ? cut : fitted).dispose();
    return kept ? { model: fitted, values: after } : { model: cut, values: before };
  } catch (error) {
    cut.dispose();
    fitted?.dispose();
    throw error;
  }
}
