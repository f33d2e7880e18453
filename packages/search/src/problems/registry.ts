// Problems that come with the package, by name.
import type { SearchProblem } from '../problem.ts';
import { bertSynth } from './bert-synth.ts';

export const builtIn: ReadonlyMap<string, (options: Readonly<Record<string, unknown>>) => SearchProblem> = new Map([
  ['bert-synth', bertSynth],
]);
