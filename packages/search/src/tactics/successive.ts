// Successive rounds towards one goal: the best of one objective under constraints or a target, closing in on the boundary.
import { SearchError } from '../errors.ts';
import { totalViolation } from '../constraints.ts';
import { isComplete } from '../study/trial.ts';
import { fitFeasibility } from './feasibility.ts';
import { innerSearch, type Predicted } from './inner.ts';
import { exactBounds, randomCandidates, seenKeys } from './sampling.ts';
import { differing } from './ranked.ts';
import { checkSettings } from './settings.ts';
import { checkPredictor, predictorSetting, type PredictorChoice } from './predictor.ts';
import { fitSurrogate } from './surrogate.ts';
import type { ProposeContext, Tactic } from './tactic.ts';

export interface SuccessiveOptions {
  /** The objective to improve; the constraints ("latency <= 20", "accuracy >= baseline - 1%") say what must hold. @defaultValue the first measured one */
  readonly optimize?: string;
  /** Candidates a round. @defaultValue 20 */
  readonly population?: number;
  /** Evaluations of the inner search, on predictors. @defaultValue 20000 */
  readonly innerEvaluations?: number;
  /** What learns the measured objectives: a name, or a regressor of @instatune/predictors. @defaultValue 'gaussian-process' */
  readonly predictor?: PredictorChoice;
  /** Ends after so many rounds in a row without a better feasible candidate. @defaultValue 3 */
  readonly patience?: number;
}

const INNER_POPULATION = 100;

/** Predicted violations up to this count as inside in the first round; half as much in each later one. */
const FIRST_BAND = 0.1;

/**
 * For a question with one answer ("the most accurate sub-network under 20 ms"): every round measures the candidates predicted best, half of them inside the
 * constraints, half in a band just outside that halves each round (predictions err there, and the best lies on the boundary), no two of a half near copies
 * where that can be had. Spends far fewer measurements than a whole front.
 */
export function successive(options: SuccessiveOptions = {}): Tactic {
  const settings = checkSettings(
    'successive',
    options,
    ['optimize', 'population', 'innerEvaluations', 'predictor', 'patience'],
    ['population', 'innerEvaluations'],
  );
  const {
    optimize,
    population = 20,
    innerEvaluations = 20_000,
    predictor = 'gaussian-process',
    patience = 3,
  } = settings;
  checkPredictor(predictor);
  if (!Number.isSafeInteger(patience) || patience < 1) {
    throw new SearchError('invalid-option', `successive's patience is ${String(patience)}: use a whole number ≥ 1`, {
      patience,
    });
  }
  return {
    name: 'successive',
    settings: {
      population,
      innerEvaluations,
      patience,
      predictor: predictorSetting(predictor),
      ...(optimize === undefined ? {} : { optimize }),
    },
    population,
    check(space) {
      goalOf({ space }, optimize);
    },
    async propose(context) {
      const { space, limit, random, signal, bounds, trials } = context;
      const goal = goalOf(context, optimize);
      const since = roundsWithoutImprovement(context, goal, population);
      if (since >= patience) return { candidates: [] };
      const seen = seenKeys(context);
      const surrogate = await fitSurrogate(context, predictor);
      if (!surrogate)
        return {
          candidates: randomCandidates(context, limit, 'random', seen),
          info: { fallback: 'too few complete trials to fit predictors' },
        };
      const best = bestFirst(context, goal).slice(0, INNER_POPULATION / 2);
      const exact = exactBounds(context);
      const feasibility = fitFeasibility(context, surrogate);
      const found = await innerSearch({
        space,
        surrogate,
        bounds,
        feasibility,
        objectives: (values) => [goal.sign * values[goal.name]!],
        evaluations: innerEvaluations,
        population: INNER_POPULATION,
        seed: random.uint32(),
        initial: best.map(({ genes }) => genes),
        signal,
      });
      // The band is for predicted quantities, which may err: what is computed and outside is outside.
      const predicted = found.filter(({ genes }) => totalViolation(exact, space.exact(genes)) <= 0);
      const band = FIRST_BAND / 2 ** (roundsOf(context, population) - 1);
      const bold = Math.round((feasibility?.bold ?? 1) * limit);
      const chosen = interleave(
        predicted.filter(({ violation }) => violation === 0),
        predicted.filter(({ violation }) => violation > 0 && violation <= band),
        { count: limit, bold },
        seen,
      );
      // Nothing predicted inside or near: whatever oversteps least.
      if (chosen.length < limit)
        chosen.push(
          ...unseen(
            predicted.toSorted((a, b) => a.violation - b.violation),
            limit - chosen.length,
            seen,
          ),
        );
      const candidates = chosen.map(({ genes }) => ({ genes, origin: 'successive' }));
      if (candidates.length < limit)
        candidates.push(...randomCandidates(context, limit - candidates.length, 'random', seen));
      return {
        candidates,
        info: {
          ...surrogate.info,
          optimize: goal.name,
          band,
          best: bestValue(trials, context, goal) ?? null,
          inner: predicted.length,
        },
      };
    },
  };
}

interface Goal {
  readonly name: string;
  readonly sign: number;
}

function goalOf({ space }: Pick<ProposeContext, 'space'>, optimize: string | undefined): Goal {
  const { objectives } = space.problem;
  const index =
    optimize === undefined
      ? Math.max(
          0,
          objectives.findIndex(({ kind }) => kind === 'measured'),
        )
      : objectives.findIndex(({ name }) => name === optimize);
  if (index < 0) {
    throw new SearchError(
      'invalid-option',
      `successive cannot optimise "${optimize}": the objectives are ${objectives.map(({ name }) => name).join(', ')}`,
      { optimize },
    );
  }
  return { name: objectives[index]!.name, sign: space.signs[index]! };
}

function bestFirst({ trials, bounds }: ProposeContext, { name, sign }: Goal) {
  return trials
    .filter(isComplete)
    .filter(({ values }) => totalViolation(bounds, values) === 0)
    .sort((a, b) => sign * (a.values[name]! - b.values[name]!) || a.number - b.number);
}

function bestValue(trials: ProposeContext['trials'], context: ProposeContext, goal: Goal): number | undefined {
  return bestFirst({ ...context, trials }, goal)[0]?.values[goal.name];
}

/** Rounds so far; of asynchronous proposals, how many what was measured would fill. */
function roundsOf({ round, trials, pending }: ProposeContext, population: number): number {
  return pending ? Math.max(1, Math.floor(trials.length / population)) : round;
}

/** Rounds since the best feasible value last improved; 0 while nothing is feasible. */
function roundsWithoutImprovement(context: ProposeContext, goal: Goal, population: number): number {
  const best = bestFirst(context, goal)[0];
  if (!best) return 0;
  const { pending, trials, round } = context;
  if (!pending) return round - 1 - best.round;
  return Math.floor(trials.filter(({ number }) => number > best.number).length / population);
}

/** Candidates of a round differ in this share of their genes, as long as there are such: near copies teach the predictor little. */
const APART = 0.3;

function unseen(ordered: readonly Predicted[], count: number, seen: Set<string>): Predicted[] {
  const found: Predicted[] = [];
  for (const share of [APART, 0]) {
    for (const candidate of ordered) {
      if (found.length >= count) return found;
      const apart = share * candidate.genes.length;
      if (seen.has(candidate.key) || found.some(({ genes }) => differing(genes, candidate.genes) < apart)) continue;
      seen.add(candidate.key);
      found.push(candidate);
    }
  }
  return found;
}

/**
 * In turns the best of each level of likelihood, where failures have told something of it; the likely first, and after `bold` that are not of the
 * highest level none of these before those that are.
 */
function turns(ordered: readonly Predicted[], bold: number): readonly Predicted[] {
  const levels = [...new Set(ordered.map(({ level = 0 }) => level))].sort((a, b) => b - a);
  if (levels.length <= 1) return ordered;
  const places = new Map(levels.map((level) => [level, 0]));
  const inTurns = ordered
    .map((candidate) => {
      const level = candidate.level ?? 0;
      const place = places.get(level)!;
      places.set(level, place + 1);
      return { candidate, place, level };
    })
    .sort((a, b) => a.place - b.place || b.level - a.level);
  let left = bold;
  const isEarly = inTurns.map(({ level }) => level === levels[0] || left-- > 0);
  return [true, false].flatMap((early) =>
    inTurns.filter((_, i) => isEarly[i] === early).map(({ candidate }) => candidate),
  );
}

/** Half from each list, best objective first; one list makes up for the other. */
function interleave(
  inside: readonly Predicted[],
  outside: readonly Predicted[],
  { count, bold }: { readonly count: number; readonly bold: number },
  seen: Set<string>,
): Predicted[] {
  const byObjective = (list: readonly Predicted[]) =>
    turns(
      list.toSorted((a, b) => a.objectives[0]! - b.objectives[0]!),
      Math.ceil(bold / 2),
    );
  const half = Math.floor(count / 2);
  const near = unseen(byObjective(outside), half, seen);
  const within = unseen(byObjective(inside), count - near.length, seen);
  return [...within, ...near];
}
