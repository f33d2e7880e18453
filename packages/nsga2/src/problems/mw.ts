// MW1–14 (Ma and Wang 2019): constrained problems whose feasible regions are small, broken or far from the unconstrained front.
import { Nsga2Error } from '../errors.ts';
import { real, repeat } from '../variables.ts';
import { MW } from './mw/definitions.ts';
import { frontOf } from './mw/front.ts';
import type { ConstrainedFrontProblem } from './test-problem.ts';

export interface MwOptions {
  /** Number of variables. @defaultValue 15, objectives + 12 for MW4, MW8 and MW14 */
  readonly variables?: number | undefined;
  /** Number of objectives of MW4, MW8 and MW14; the others have two. @defaultValue 3 */
  readonly objectives?: number | undefined;
}

type Index = 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 | 10 | 11 | 12 | 13 | 14;

/**
 * MW1–14.
 *
 * @throws Nsga2Error `invalid-problem` for another index, or numbers of variables or objectives that the problem cannot have
 *
 * @example
 * ```ts
 * import { minimize, mw } from '@instatune/nsga2';
 *
 * const { front } = await minimize(mw(2), { maxEvaluations: 5000, seed: 1 });
 * console.log(front.every(({ violation }) => violation === 0)); // => true
 * ```
 */
export function mw(index: Index, options: MwOptions = {}): ConstrainedFrontProblem {
  const definition = MW[index];
  if (!definition) throw new Nsga2Error('invalid-problem', `MW${String(index)}: use 1 to 14`, { index });
  const objectives = options.objectives ?? (definition.many ? 3 : 2);
  const variables = options.variables ?? (definition.many ? objectives + 12 : 15);
  const fits = definition.many ? Number.isInteger(objectives) && objectives >= 2 : objectives === 2;
  if (!fits || !Number.isInteger(variables) || variables <= objectives) {
    throw new Nsga2Error(
      'invalid-problem',
      `MW${index}: needs ${definition.many ? 'at least 2' : '2'} objectives and more variables than that`,
      { objectives, variables },
    );
  }
  const { upper = 1, distance, point, constraints } = definition;
  return {
    name: `MW${index}`,
    variables: repeat(real(0, upper), variables),
    objectives,
    inequality: definition.inequality,
    evaluate(genes) {
      const found = point(genes, distance(genes, objectives), objectives);
      return { objectives: found, inequality: constraints(found) };
    },
    front: (count = 500) => frontOf(definition, objectives, variables, count),
  };
}
