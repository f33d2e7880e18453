// WFG1–9 (Huband, Hingston, Barone and While 2006): bias, deception, many optima, dependent variables, in any number of objectives.
import { Nsga2Error } from '../errors.ts';
import { paretoFront } from '../sorting/dominance.ts';
import { dasDennis, partitionsFor } from '../survival/reference-directions.ts';
import { real } from '../variables.ts';
import { grid } from './grid.ts';
import type { TestProblem } from './test-problem.ts';
import { WFG, type WfgDefinition, type WfgSizes } from './wfg/definitions.ts';

export interface WfgOptions {
  /** Number of objectives. @defaultValue 3 */
  readonly objectives?: number | undefined;
  /** Variables that say where on the front: a multiple of objectives − 1. @defaultValue 2 · (objectives − 1), 4 in two objectives */
  readonly position?: number | undefined;
  /** Variables that say how far from it; even for WFG2 and WFG3. @defaultValue 20 */
  readonly distance?: number | undefined;
}

/** A WFG problem. */
export interface WfgProblem extends TestProblem {
  /**
   * An optimal solution.
   *
   * @param position the position parameters, each a share of its range, 0 to 1
   * @returns variables whose objectives lie on the front (on its surface, where it has gaps)
   */
  optimum(position: readonly number[]): number[];
}

/**
 * WFG1–9. Variable i (from 1) runs from 0 to 2i, objective m from 0 to 2m.
 *
 * @throws Nsga2Error `invalid-problem` for another index, fewer than 2 objectives, or numbers of variables that the problem cannot have
 *
 * @example
 * ```ts
 * import { wfg } from '@instatune/nsga2';
 *
 * const problem = wfg(4, { objectives: 2 });
 * const [first, second] = problem.evaluate(problem.optimum([0.35, 0.35, 0.35, 0.35]));
 * console.log(problem.variables.length, first!.toFixed(3), second!.toFixed(3)); // => 24 0.000 4.000
 * ```
 */
export function wfg(index: 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9, options: WfgOptions = {}): WfgProblem {
  const definition = WFG[index];
  if (!definition) throw new Nsga2Error('invalid-problem', `WFG${String(index)}: use 1 to 9`, { index });
  const sizes = resolveSizes(index, options);
  const { objectives, variables } = sizes;
  const evaluate = (genes: readonly number[]): number[] => {
    const y = Float64Array.from(genes, (value, i) => value / (2 * (i + 1)));
    return objectivesAt(definition, definition.transform(y, sizes), objectives);
  };
  return {
    name: `WFG${index}`,
    variables: Array.from({ length: variables }, (_, i) => real(0, 2 * (i + 1))),
    objectives,
    evaluate,
    front: (count = 500) => sampleFront(definition, objectives, count),
    optimum(position) {
      if (position.length !== sizes.position || position.some((value) => !(value >= 0 && value <= 1))) {
        throw new Nsga2Error('invalid-option', `position: needs ${sizes.position} numbers from 0 to 1`, { position });
      }
      const y = new Float64Array(variables).fill(0.35);
      y.set(position);
      definition.optimum?.(y, sizes);
      return Array.from(y, (value, i) => value * 2 * (i + 1));
    },
  };
}

function resolveSizes(index: number, options: WfgOptions): WfgSizes {
  const { objectives = 3, distance = 20 } = options;
  const { position = objectives === 2 ? 4 : 2 * (objectives - 1) } = options;
  const fail = (message: string): never => {
    throw new Nsga2Error('invalid-problem', `WFG${index}: ${message}`, { objectives, position, distance });
  };
  if (!Number.isInteger(objectives) || objectives < 2) fail(`objectives is ${objectives}: needs at least 2`);
  if (!Number.isInteger(position) || position < 1 || position % (objectives - 1) !== 0)
    fail(`position is ${position}: needs a multiple of objectives − 1, ${objectives - 1}`);
  if (!Number.isInteger(distance) || distance < 1) fail(`distance is ${distance}: needs at least 1`);
  if ((index === 2 || index === 3) && distance % 2 !== 0) fail(`distance is ${distance}: needs an even number`);
  return { objectives, position, variables: position + distance };
}

/** @param t what the transformations give: M values, the last of which is the distance */
function objectivesAt(definition: WfgDefinition, t: readonly number[], m: number): number[] {
  const distance = t[m - 1]!;
  const x = t.slice(0, m - 1).map((value, i) => {
    const least = definition.degenerate && i > 0 ? 0 : 1;
    return Math.max(distance, least) * (value - 0.5) + 0.5;
  });
  return Array.from({ length: m }, (_, j) => {
    const shape = j === m - 1 && definition.last ? definition.last(x) : definition.shape(x, j);
    return distance + 2 * (j + 1) * shape;
  });
}

function sampleFront(definition: WfgDefinition, m: number, count: number): number[][] {
  const at = (t: readonly number[]): number[] => objectivesAt(definition, [...t, 0], m);
  if (definition.degenerate) {
    const rest = Array.from({ length: m - 2 }, () => 0.5);
    return Array.from({ length: count }, (_, i) => at([count === 1 ? 0 : i / (count - 1), ...rest]));
  }
  if (definition.last) {
    // A mixed or disconnected last objective: parts of the surface lie behind others.
    const points = grid(m - 1, Math.max(2, Math.round(count ** (1 / (m - 1))))).map(at);
    return paretoFront(points).map((i) => points[i]!);
  }
  return dasDennis(m, partitionsFor(m, count)).map((direction) => {
    const length = Math.hypot(...direction);
    return direction.map((value, j) => (2 * (j + 1) * value) / length);
  });
}
