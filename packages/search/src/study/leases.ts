// Which trials this process holds, by the number of their lease: a fencing token (Gray and Cheriton 1989), raised each time a trial is handed out.
import { SearchError } from '../errors.ts';
import type { Trial } from './trial.ts';

export class Leases {
  readonly #held = new Map<number, number>();

  /** The number under which a trial is handed out next. */
  static next({ lease = 0 }: Trial): number {
    return lease + 1;
  }

  hold(number: number, lease: number): void {
    this.#held.set(number, lease);
  }

  drop(number: number): void {
    this.#held.delete(number);
  }

  /** @throws SearchError `lease-lost` where the trial was handed out again since, or is not running */
  check({ number, status, lease }: Trial, study: string): void {
    if (status === 'running' && lease !== undefined && this.#held.get(number) === lease) return;
    this.drop(number);
    throw new SearchError(
      'lease-lost',
      `trial ${number} of study "${study}" is not this process's any more (it gave no sign of life for longer than its lease): its result is not kept, another process measures it`,
      { trial: number, status, lease },
    );
  }
}
