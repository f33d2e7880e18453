// What decides how each stage of a run comes out, in a few digits: a run goes on with the same options only.
import { TuneError } from '../errors.ts';
import type { RunRecord } from './record.ts';

/** @throws TuneError `other-run` naming what differs */
export function requireSame(before: RunRecord['keys'], now: RunRecord['keys']): void {
  const differs = (['load', 'train', 'search'] as const).find((name) => before[name] !== now[name]);
  if (differs === undefined) return;
  const what = {
    load: 'another model, task, data, space or seed',
    train: 'other steps, batch size or learning rate',
    search: 'other objectives, population, quantisation or runtime',
  }[differs];
  throw new TuneError(
    'other-run',
    `this folder holds a run with ${what}: give those options again, another --out, or --fresh to begin anew (budget, optimize, tune-steps and evaluations may change)`,
    { before, now },
  );
}

/**
 * A checkpoint's location in one spelling: `./m`, `m/` and `m` are one folder. Folders above (`..`) stay as they are, as links may lead
 * elsewhere; so do addresses.
 */
export function plainLocation(location: string): string {
  if (/^[a-z][a-z\d+.-]+:\/\//i.test(location)) return location;
  const root = /^[\\/]*/.exec(location)![0].replaceAll('\\', '/');
  const names = location.split(/[\\/]+/).filter((name) => name !== '' && name !== '.');
  return `${root}${names.join('/')}` || '.';
}
