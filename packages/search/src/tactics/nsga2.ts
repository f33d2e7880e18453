// NSGA-II on the measurements themselves: for cheap problems, and as the baseline LINAS has to beat.
import { Nsga2, type Told } from '@instatune/nsga2';
import { totalViolation, violation } from '../constraints.ts';
import type { Space } from '../space.ts';
import { isComplete, isDone, type Candidate, type CompleteTrial, type Trial } from '../study/trial.ts';
import { bestFronts } from './ranked.ts';
import { expectedValues } from './partial.ts';
import { checkSettings } from './settings.ts';
import { exactBounds, randomCandidates, seenKeys } from './sampling.ts';
import type { Proposal, ProposeContext, Tactic } from './tactic.ts';

export interface Nsga2TacticOptions {
  /** Survivors of a generation, and candidates a round. @defaultValue 50 */
  readonly population?: number;
}

/** Generations that may pass without one candidate to measure (all outside the exact constraints) before the search ends. */
const BARREN = 100;

/**
 * NSGA-II with measured objectives. The engine is a function of the seed and the trials: after an interruption it is played through again from
 * the study, without measuring. Candidates outside an exact constraint are never measured. Trials that were stopped early count as what is expected
 * of them: dominated, not failed.
 */
export function nsga2(options: Nsga2TacticOptions = {}): Tactic {
  const { population = 50 } = checkSettings('nsga2', options, ['population']);
  const engines = new WeakMap<readonly Trial[], Nsga2>();
  return {
    name: 'nsga2',
    settings: { population },
    population,
    propose(context) {
      if (context.pending) return steadyState(context, population);
      const engine = engines.get(context.trials) ?? createEngine(context, population);
      engines.set(context.trials, engine);
      return { ...nextGeneration(context, engine), info: { generation: engine.generation } };
    },
  };
}

/**
 * Asynchronous NSGA-II (Durillo, Nebro, Luna, Alba 2008): no generations; children of the best of everything that is done by now.
 * A new engine each time, told the survivors; what it breeds next is proposed.
 */
function steadyState(context: ProposeContext, population: number): Proposal {
  const { space, trials, bounds, limit, random } = context;
  const seen = seenKeys(context);
  const exact = exactBounds({ space, bounds });
  const whole = trials.filter(isComplete);
  const parents = trials
    .flatMap((trial) => ranked(space, trial, whole) ?? [])
    .map((trial) => ({ trial, over: totalViolation(bounds, trial.values) }))
    .sort((a, b) => a.over - b.over);
  const feasible = parents.filter(({ over }) => over === 0).map(({ trial }) => trial);
  const others = parents.filter(({ over }) => over > 0).map(({ trial }) => trial);
  const best = [...bestFronts(feasible, ({ values }) => space.minimised(values)), ...others].slice(0, 2 * population);
  const candidates: Candidate[] = [];
  if (best.length >= 2) {
    const initial = best.map(({ genes }) => genes);
    const engine = engineOf(context, { population, initial, seed: random.uint32() });
    const known = new Map(best.map((trial) => [trial.key, trial]));
    for (let barren = 0; candidates.length < limit && barren < BARREN; barren++) {
      const asked = engine.ask();
      if (asked.length === 0) break;
      engine.tell(
        asked.map(({ id, genes }): Told => {
          const trial = known.get(space.key(genes));
          if (trial) return toldOf(context, id, trial, whole);
          const key = space.key(genes);
          const isOutside = exact.length > 0 && totalViolation(exact, space.exact(genes)) > 0;
          if (!isOutside && !seen.has(key) && candidates.length < limit) {
            seen.add(key);
            candidates.push({ genes: Array.from(genes), origin: 'nsga2' });
          }
          return { id, failed: true };
        }),
      );
    }
  }
  if (candidates.length < limit)
    candidates.push(...randomCandidates(context, limit - candidates.length, 'random', seen));
  return { candidates };
}

function createEngine(context: ProposeContext, population: number): Nsga2 {
  const { space, trials, seed } = context;
  const initial = bestFirst(
    space,
    trials.filter(({ round }) => round === 0),
    population,
  );
  return engineOf(context, { population, initial, seed });
}

function engineOf(
  { space, bounds }: ProposeContext,
  {
    population: populationSize,
    initial,
    seed,
  }: { readonly population: number; readonly initial: readonly (readonly number[])[]; readonly seed: number },
): Nsga2 {
  return new Nsga2(
    {
      name: space.problem.name,
      variables: space.problem.space,
      objectives: space.problem.objectives.length,
      inequality: bounds.length,
      canonical(genes) {
        genes.set(space.canonical(Array.from(genes)));
      },
      evaluate() {
        throw new Error('evaluations come from the study');
      },
    },
    { populationSize, seed, duplicates: 'history', initial },
  );
}

/** Genes of the first round; of more than a generation (measurements were known) the best fronts of it come first. */
function bestFirst(space: Space, trials: readonly Trial[], most: number): readonly (readonly number[])[] {
  if (trials.length <= most) return trials.map(({ genes }) => genes);
  return bestFronts(trials.filter(isComplete), ({ values }) => space.minimised(values)).map(({ genes }) => genes);
}

/** Tells everything the study knows; returns the candidates it does not know yet. */
function nextGeneration({ space, trials, bounds }: ProposeContext, engine: Nsga2): Proposal {
  const known = new Map(trials.filter(isDone).map((trial) => [trial.key, trial]));
  const exact = exactBounds({ space, bounds });
  const open = outstanding.get(engine) ?? [];
  for (let barren = 0; barren < BARREN; barren++) {
    open.push(...engine.ask());
    if (open.length === 0) break;
    const candidates: Candidate[] = [];
    const told: Told[] = [];
    const left: typeof open = [];
    for (const candidate of open) {
      const trial = known.get(space.key(candidate.genes));
      if (trial) {
        // As it was when the round had been measured, whenever it is played through again.
        const whole = trial.status === 'stopped' ? trials.filter(isComplete).filter(upTo(trial.round)) : [];
        told.push(toldOf({ space, bounds }, candidate.id, trial, whole));
        barren = -1; // played through again from the study, not barren
      } else if (exact.length > 0 && totalViolation(exact, space.exact(candidate.genes)) > 0)
        told.push({ id: candidate.id, failed: true });
      else {
        left.push(candidate);
        candidates.push({ genes: candidate.genes, origin: 'nsga2' });
      }
    }
    engine.tell(told);
    open.splice(0, open.length, ...left);
    outstanding.set(engine, open);
    if (candidates.length > 0) return { candidates };
  }
  return { candidates: [] };
}

const upTo =
  (last: number) =>
  ({ round }: Trial): boolean =>
    round <= last;

/** The trial with its values, or those expected of it; undefined for one that failed. */
function ranked(space: Space, trial: Trial, whole: readonly CompleteTrial[]): CompleteTrial | undefined {
  if (isComplete(trial)) return trial;
  const values = expectedValues(space, trial, whole);
  return values && { ...trial, status: 'complete', values };
}

function toldOf(
  { space, bounds }: Pick<ProposeContext, 'space' | 'bounds'>,
  id: number,
  trial: Trial,
  whole: readonly CompleteTrial[],
): Told {
  const known = ranked(space, trial, whole);
  if (!known) return { id, failed: true };
  // Of one that was stopped no constraint is known: it ranks by what is.
  const expected = known !== trial;
  const inequality = bounds.map((bound) => violation(expected ? { ...bound, optional: true } : bound, known.values));
  if (!inequality.every(Number.isFinite)) return { id, failed: true };
  return { id, objectives: space.minimised(known.values), inequality };
}

/** Asked of an engine and not told yet. */
const outstanding = new WeakMap<Nsga2, { readonly id: number; readonly genes: readonly number[] }[]>();
