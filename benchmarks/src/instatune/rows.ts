// What the rows of a study say.
import {
  countParameters,
  evaluate,
  fullSubnet,
  type Dataset,
  type ElasticModel,
  type SubnetConfig,
} from '@instatune/supernet';
import { packHits, pairedError, type Score } from './per-example.ts';
import type { Pick } from './picks.ts';
import { macsOf } from './search.ts';
import type { Task } from './tasks.ts';
import type { Trained } from './kept.ts';

/** The splits that scores are of. */
interface Splits {
  readonly search: Dataset;
  readonly report: Dataset;
}

/** Makes and emits the rows of one task. */
export class Rows {
  readonly #task: Task;
  readonly #data: Splits;
  readonly #emit: (row: Record<string, unknown>) => void;
  /** What everything is held against: the plain fine-tuned network on the reported split. */
  plain: Score = { accuracy: Number.NaN, loss: Number.NaN };

  constructor(task: Task, data: Splits, emit: (row: Record<string, unknown>) => void) {
    this.#task = task;
    this.#data = data;
    this.#emit = emit;
  }

  /** Emits a row of the task. */
  emit(row: string, fields: Record<string, unknown>): void {
    this.#emit({ task: this.#task.name, row, ...fields });
  }

  score(model: ElasticModel, data: Dataset, subnet?: SubnetConfig): Promise<Score> {
    return evaluate(model, data, {
      batchSize: this.#task.evaluationBatch,
      perExample: true,
      ...(subnet && { subnet }),
    });
  }

  /** A whole network after a training. */
  async network(
    row: string,
    model: ElasticModel,
    trained: Trained,
    fields: Record<string, unknown>,
  ): Promise<{ readonly reported: Score; readonly searched: Score }> {
    const reported = await this.score(model, this.#data.report);
    const searched = await this.score(model, this.#data.search);
    const { metric, weights, reported: on } = this.#task;
    this.emit(row, {
      weights,
      reported: on,
      ...this.metrics(reported),
      searchSplit: round(searched[metric], 4),
      searchLoss: round(searched.loss, 4),
      macs: macsOf(this.#task, model, fullSubnet(model.space)),
      parameters: countParameters(model.config),
      trainingSeconds: round(trained.seconds, 1),
      msPerStep: round(trained.secondsPerStep * 1000, 1),
      trainingLoss: round(trained.loss, 4),
      ...fields,
      steps: trained.steps,
      ...hitsOf(reported),
    });
    return { reported, searched };
  }

  /** A sub-network, of the super-network or by itself. */
  subNetwork(
    row: string,
    { share, point }: Pick,
    full: number,
    scores: { readonly reported: Score; readonly searched: Score },
    fields: Record<string, unknown>,
  ): void {
    this.emit(row, {
      bestWithin: share,
      ...this.metrics(scores.reported),
      ...this.againstPlain(scores.reported),
      searchSplit: round(scores.searched[this.#task.metric], 4),
      searchLoss: round(scores.searched.loss, 4),
      macs: point.macs,
      fewerMacs: round(1 - point.macs / full, 4),
      ...fields,
      ...hitsOf(scores.reported),
    });
  }

  /** Relative to plain fine-tuning, with the standard error of the mean difference over the same examples. */
  againstPlain(score: Score): { readonly againstPlain: number; readonly againstPlainError?: number } {
    const { metric } = this.#task;
    const { [metric]: plain, perExample: other } = this.plain;
    const againstPlain = round((score[metric] - plain) / plain, 4);
    if (!score.perExample || !other) return { againstPlain };
    const error = pairedError(score.perExample[metric], other[metric]);
    return { againstPlain, againstPlainError: round(error / plain, 4) };
  }

  metrics({ accuracy, loss }: Score): Record<string, number> {
    return this.#task.metric === 'accuracy'
      ? { accuracy: round(accuracy, 4), loss: round(loss, 4) }
      : { loss: round(loss, 4) };
  }
}

/** Which examples were right, a bit each, where it is asked for: what several seeds have in common is told from it. */
function hitsOf({ perExample }: Score): { readonly hits?: string } {
  if (!perExample || process.env['INSTATUNE_HITS'] !== '1') return {};
  return { hits: packHits(perExample.accuracy) };
}

export function round(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}
