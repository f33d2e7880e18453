// The engine of a run's algorithm, new or as it was saved.
import type { Evolution } from '../engine/evolution.ts';
import { Nsga2 } from '../engine/nsga2.ts';
import { Nsga3, Unsga3 } from '../engine/nsga3.ts';
import { SmsEmoa } from '../engine/sms-emoa.ts';
import { Nsga2Error } from '../errors.ts';
import type { Problem } from '../problem.ts';
import type { EvolveOptions } from './options.ts';

export function createEngine(problem: Problem, options: EvolveOptions): Evolution {
  const state = options.resume?.engine;
  switch (options.algorithm ?? 'nsga2') {
    case 'nsga2':
      return state ? Nsga2.fromJSON(state, problem, options) : new Nsga2(problem, options);
    case 'nsga3':
      return state ? Nsga3.fromJSON(state, problem, options) : new Nsga3(problem, options);
    case 'unsga3':
      return state ? Unsga3.fromJSON(state, problem, options) : new Unsga3(problem, options);
    case 'sms-emoa':
      return state ? SmsEmoa.fromJSON(state, problem, options) : new SmsEmoa(problem, options);
    default:
      throw new Nsga2Error(
        'invalid-option',
        `algorithm is ${String(options.algorithm)}: use nsga2, nsga3, unsga3 or sms-emoa`,
        { algorithm: options.algorithm },
      );
  }
}
