// The loop of asynchronous proposals: a lane that is free takes what waits, and when little waits, more is proposed from what is known by then.
import { SearchError } from '../errors.ts';
import { KNOWN } from '../given/known.ts';
import { roundRandom, salted, trialSeed } from '../seeds.ts';
import { isDone, type Trial } from '../study/trial.ts';
import type { DriverOptions } from './driver-options.ts';
import { measureTrial } from './measuring.ts';
import { Pace } from './pace.ts';
import { atOnceOrUnlocked, whenUnlocked } from './unlocked.ts';
import { ask, canonicalCandidates, checkFirstRound, spent } from './proposing.ts';

/** How often a shared study is looked at while this process waits. */
const POLL_MS = 250;

/** A trial that two processes have died under is measured alone: what it does then is its own doing. */
const SUSPECT = 2;

/**
 * Runs a study up to its budget, `evaluator.concurrency` trials at a time, beside whatever other processes run it. A proposal sees what is done
 * and what is pending when it is made. With one lane in one process, proposals are made when nothing is pending: the same trials for a seed,
 * interrupted or not. With more, which trials are done by a proposal is a matter of time; seeds of trials, the first round and everything
 * in the file are as ever.
 */
export async function driveAsynchronously(options: DriverOptions): Promise<void> {
  await new Asynchronous(options).run();
}

class Asynchronous {
  readonly #options: DriverOptions;
  readonly #pace: Pace;
  readonly #stop = new AbortController();
  readonly #signal: AbortSignal;
  readonly #running = new Map<number, Promise<void>>();
  #proposing: Promise<void> | undefined;
  #alone = false;
  /** Trials that were done when the tactic had nothing new. */
  #dry = -1;
  #failure: { readonly error: unknown } | undefined;
  #wake: () => void = () => {};
  #lastLook = performance.now();

  constructor(options: DriverOptions) {
    this.#options = options;
    const { signal } = options;
    this.#signal = signal ? AbortSignal.any([signal, this.#stop.signal]) : this.#stop.signal;
    this.#pace = new Pace(options.evaluator.concurrency, options.tactic.population);
  }

  async run(): Promise<void> {
    const { signal, study } = this.#options;
    this.#signal.addEventListener('abort', () => this.#wake());
    try {
      await whenUnlocked(() => study.reclaim(), this.#signal);
      this.#check();
      for (;;) {
        signal?.throwIfAborted();
        if (this.#failure) throw this.#failure.error;
        const waits = atOnceOrUnlocked(() => this.#step(), this.#signal);
        if (waits) {
          await waits;
          continue;
        }
        this.#propose();
        if (this.#isOver()) return;
        await this.#event();
      }
    } finally {
      this.#stop.abort(this.#failure?.error ?? signal?.reason ?? new Error('the search has ended'));
      await Promise.allSettled([...this.#running.values(), this.#proposing]);
    }
  }

  #step(): void {
    this.#look();
    this.#fillLanes();
  }

  /** The budget may grow while others run the study, too. */
  get #budget(): number {
    const { study, budget } = this.#options;
    return study.isShared ? Number(study.header.settings['evaluations'] ?? budget) : budget;
  }

  get #lanes(): number {
    return this.#options.evaluator.concurrency;
  }

  #isOver(): boolean {
    const { study } = this.#options;
    if (this.#running.size > 0 || this.#proposing || study.open.length > 0) return false;
    return spent(study) >= this.#budget || this.#dry === study.trials.length;
  }

  /** What other processes did, and left. */
  #look(): void {
    const { study } = this.#options;
    if (!study.isShared || performance.now() - this.#lastLook < POLL_MS) return;
    this.#lastLook = performance.now();
    study.reclaim();
    this.#heard(study.refresh());
  }

  #heard(trials: readonly Trial[]): void {
    const finished = trials.filter((trial) => isDone(trial) && !this.#running.has(trial.number));
    for (const trial of finished) this.#finished(trial);
  }

  #finished(trial: Trial): void {
    this.#pace.finished(trial.durationMs);
    this.#options.onTrial(trial);
    if (trial.round === 0) this.#check();
  }

  /** The first round, once it is whole. */
  #check(): void {
    const first = this.#options.study.trials.filter(({ round }) => round === 0);
    if (first.length > 0 && first.every(isDone)) checkFirstRound(this.#options);
  }

  #fillLanes(): void {
    const { study, evaluator, retries } = this.#options;
    const isolated = evaluator.isolated === true;
    while (this.#running.size < this.#lanes && !this.#alone) {
      const trial = study.take(
        Date.now(),
        ({ attempts }) => isolated || attempts < SUSPECT || this.#running.size === 0,
      );
      if (!trial) return;
      const before = trial.attempts - 1;
      if (!isolated && before > retries) {
        const error = `this process ended each time it was measured (${before} attempts)`;
        this.#finished(study.fail(trial.number, error, 0));
        continue;
      }
      this.#alone = !isolated && before >= SUSPECT;
      this.#running.set(trial.number, this.#measure(trial.number));
    }
  }

  async #measure(number: number): Promise<void> {
    try {
      const onTrial = (trial: Trial): void => this.#finished(trial);
      await measureTrial({ ...this.#options, onTrial }, number, this.#signal, true);
    } catch (error) {
      // Its result is another process's business by now.
      if (!(error instanceof SearchError && error.code === 'lease-lost')) this.#failure ??= { error };
    } finally {
      this.#running.delete(number);
      this.#alone = false;
      this.#wake();
    }
  }

  #propose(): void {
    const { study } = this.#options;
    if (this.#proposing || spent(study) >= this.#budget) return;
    const done = study.trials.length - study.open.length;
    if (this.#dry === done) return;
    const waiting = study.open.filter(({ status }) => status === 'pending').length;
    const others = study.open.length - waiting - this.#running.size;
    if (!this.#pace.isTime({ waiting, running: this.#running.size, others })) return;
    this.#proposing = this.#proposal(done)
      .catch((error: unknown) => {
        this.#failure ??= { error };
      })
      .finally(() => {
        this.#proposing = undefined;
        this.#wake();
      });
  }

  async #proposal(done: number): Promise<void> {
    const { space, study, tactic, constraints, warm, given } = this.#options;
    const start = performance.now();
    await whenUnlocked(() => this.#heard(study.refresh()), this.#signal);
    const { seed } = study.header;
    const own = study.trials.filter(({ origin }) => origin !== KNOWN);
    const first = own.length === 0;
    const round = first ? 0 : study.trials.at(-1)!.round + 1;
    const trials = study.trials.filter(isDone);
    // Another process may be proposing from the same trials: it is not to come to the same candidates.
    const salt = study.isAccompanied ? this.#pace.salt : 0;
    this.#options.onProposing(round);
    const { effort } = this.#pace;
    const proposal = await ask(tactic, {
      space,
      round,
      limit: first ? (tactic.sizeAfter?.(0) ?? tactic.population) : this.#pace.portion,
      trials,
      pending: study.open,
      bounds: constraints.bounds(trials),
      random: roundRandom(salted(seed, salt), round),
      seed,
      warm,
      given,
      effort,
      signal: this.#signal,
    });
    const seconds = (performance.now() - start) / 1000;
    const candidates = canonicalCandidates(space, proposal);
    const extend = () =>
      study.extend(candidates, {
        // Two processes that begin at once make one first round.
        room: (now) => (first && spent(now) > 0 ? 0 : this.#budget - spent(now)),
        seedOf: (number) => trialSeed(seed, number),
        info: { ...proposal.info, seconds, ...(effort < 1 ? { effort } : {}) },
      });
    const added = await whenUnlocked(extend, this.#signal);
    if (!first) this.#pace.proposed(seconds, effort);
    if (added.length === 0 && !(first && spent(study) > 0)) this.#dry = done;
  }

  /** Until something ends here, or it is time to look at what others do. */
  async #event(): Promise<void> {
    const { study } = this.#options;
    let timer: ReturnType<typeof setTimeout> | undefined;
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
      if (this.#signal.aborted || this.#failure) resolve();
      if (study.isShared) timer = setTimeout(resolve, POLL_MS);
    });
    clearTimeout(timer);
    this.#wake = () => {};
  }
}
