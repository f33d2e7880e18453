// Who measures which trial: each is handed out to one, and what others say of it is refused.
import { Leases } from './leases.ts';
import type { StudyRecord } from './record.ts';
import type { Trial } from './trial.ts';

export class Handing {
  readonly #record: StudyRecord;
  readonly #leases = new Leases();

  constructor(record: StudyRecord) {
    this.#record = record;
  }

  /** The first waiting trial that `choose` takes; it runs then, and its attempt is counted. */
  take(startedAt: number, choose: (trial: Trial) => boolean): Trial | undefined {
    const { trials } = this.#record;
    const isWaiting = (trial: Trial): boolean => trial.status === 'pending' && choose(trial);
    if (!trials.open.some(isWaiting)) return undefined;
    return this.#record.exclusively(() => {
      const trial = trials.open.find(isWaiting);
      if (!trial) return undefined;
      const lease = Leases.next(trial);
      const { finishedAt: _, ...rest } = trial;
      const attempts = trial.attempts + 1;
      const taken = this.#record.update({ ...rest, status: 'running', startedAt, attempts, lease });
      this.#leases.hold(trial.number, lease);
      return taken;
    });
  }

  /** Puts back the trials of processes that are gone, or silent for longer than a lease. @returns how many there were */
  reclaim(): number {
    const { sharing, trials } = this.#record;
    if (!sharing || sharing.abandoned().length === 0) return 0;
    return this.#record.exclusively(() => {
      const numbers = sharing.abandoned().filter((number) => trials.all[number]?.status === 'running');
      for (const number of numbers) {
        const { startedAt: _, ...trial } = trials.at(number);
        this.#leases.drop(number);
        this.#record.update({ ...trial, status: 'pending' });
      }
      return numbers.length;
    });
  }

  /** What is said of a running trial by whoever holds it. @throws SearchError `lease-lost` */
  held<T>(number: number, change: () => T): T {
    const { trials, header, sharing } = this.#record;
    trials.at(number);
    return this.#record.exclusively(() => {
      if (sharing) this.#leases.check(trials.at(number), header.name);
      return change();
    });
  }

  /** Its end: it is held no longer. @throws SearchError `lease-lost` */
  ended(number: number, end: () => Trial): Trial {
    const ended = this.held(number, end);
    this.#leases.drop(number);
    return ended;
  }
}
