// A study that has to end at a time of day: each training gets the part of the time left that the recipe plans for it.
import type { Recipe } from './tasks.ts';

/** Trainings and searches of a study, and what each weighs: about plain steps of the recipe's batch. */
export interface Stage {
  readonly name: 'plain' | 'distilled' | 'super-network' | 'search' | 'tuned';
  readonly weight: number;
}

/** Plain steps that a step takes: with a teacher; of a super-network, its teacher and their hidden states. */
const DISTILLED = 1.4;
const SUPER = 2.4;
/** Plain steps that measuring a sub-network takes, shapes that are new and all. */
const EVALUATION = 4;
/** Seconds that a stage has in any case, where there are so many: shaders and buffers are made in its first steps. */
const BEGINNING = 45;
/** Seconds kept for the reports at the end. */
const REPORTS = 15;
/** Share of the time left that plain trainings may take together: all else is held against them, so the others are cut first. */
const PLAIN = 0.5;

/** The stages of a recipe in the order in which they are run. */
export function stagesOf(recipe: Recipe): Stage[] {
  const { steps, plain, distilled = true, distilledSteps = steps, evaluations, tune = [], batchSize, labels } = recipe;
  const batch = Number(labels?.batchSize ?? batchSize) / batchSize;
  return [
    ...plain.map((one): Stage => ({ name: 'plain', weight: steps * (one.steps ?? 1) * batch })),
    ...(distilled ? [{ name: 'distilled' as const, weight: DISTILLED * distilledSteps }] : []),
    { name: 'super-network', weight: SUPER * steps },
    { name: 'search', weight: EVALUATION * evaluations },
    ...tune.map((one): Stage => ({ name: 'tuned', weight: DISTILLED * one.steps })),
  ];
}

/** Shares out the time until a deadline. */
export class StageClock {
  readonly #deadline: number;
  readonly #now: () => number;
  #left: readonly Stage[];

  /**
   * @param deadline in milliseconds, as `Date.now()` counts
   * @param now @defaultValue Date.now
   */
  constructor(deadline: number, stages: readonly Stage[], now: () => number = Date.now) {
    this.#deadline = deadline;
    this.#left = stages;
    this.#now = now;
  }

  /** Seconds until the deadline, without those for the last reports. */
  secondsLeft(): number {
    return Math.max(0, (this.#deadline - this.#now()) / 1000 - REPORTS);
  }

  /** Seconds for the next stage of a name; what is before it in the plan is over. All of the time left for what the plan does not know. */
  begin(name: Stage['name']): number {
    const at = this.#left.findIndex((stage) => stage.name === name);
    if (at < 0) return this.secondsLeft();
    const rest = this.#left.slice(at);
    this.#left = rest.slice(1);
    const total = rest.reduce((sum, { weight }) => sum + weight, 0);
    const left = this.secondsLeft();
    const beginning = Math.min(BEGINNING, left / rest.length / 2);
    const share = total === 0 ? 1 / rest.length : (rest[0] as Stage).weight / total;
    const own = beginning + (left - beginning * rest.length) * share;
    if (name !== 'plain') return own;
    return Math.max(own, (PLAIN * left) / rest.filter((stage) => stage.name === 'plain').length);
  }
}
