// Keeps recordings of work that comes again, and plays only those that were seen to compute what tfjs computes.
import * as tf from '@tensorflow/tfjs';
import { reusesBindings, startRepeatedWork } from './dispatch-cache.ts';
import { inScopes } from './error-scopes.ts';
import { trimUnusedBuffers } from './pool.ts';
import type { NamedTensors, RecordingBackend, Work } from './recording-backend.ts';
import { PoolFull, RecordingPool } from './recording-pool.ts';
import { record } from './recording.ts';
import type { Recording } from './recording.ts';
import type { RecordingEvent, RecordingOptions, RecordingStatistics } from './recording-report.ts';
import { AGREEMENT, differenceOf, readDifference } from './replay-check.ts';

/** Times that work runs as it is before it is recorded: tables are made. */
const BEFORE = 1;

/** Recordings of one recorder: each holds what it gives. */
const MOST = 24;

/** Bytes of their buffers, unless an option says otherwise. */
const MOST_BYTES = 16 * 2 ** 30;

/** Times that work is recorded anew because something that it reads has moved. */
const ATTEMPTS = 4;

/** A recording and whether it may be played. */
interface Entry {
  readonly recording: Recording;
  /** Until its first replay has been compared with tfjs' own numbers, those are what is given. */
  state: 'recorded' | 'compared' | 'right';
}

/**
 * Runs work that depends on named tensors and on weights alone. What comes again under the same key is recorded and then played: the same
 * dispatches on the same buffers, so the same numbers, for the host's time of encoding them. What is given lies in buffers of the recording, which
 * the next time overwrites: as long as any of it is not disposed, the work runs as it is.
 *
 * The second time, work runs as it is and once more to be recorded; the third time it runs as it is beside its first replay, and both are compared.
 * What is given comes from tfjs until {@link settle} has read that they agree: a recording that is wrong, or for which there is no memory, changes
 * no number of a run. After such a one nothing is recorded or played any more.
 *
 * Work that is recorded must send nothing from the host that differs from time to time, and read nothing back.
 */
export class Recorder {
  readonly #entries = new Map<string, Entry>();
  readonly #seen = new Map<string, number>();
  readonly #attempts = new Map<string, number>();
  readonly #maxBytes: number;
  readonly #onEvent: ((event: RecordingEvent) => void) | undefined;
  #pool: RecordingPool | undefined;
  #backend: RecordingBackend | undefined;
  #isBusy = false;
  #isFull = false;
  #open: Promise<RecordingEvent | undefined>[] = [];
  #counts = { recorded: 0, checked: 0, played: 0, encoded: 0, peakBytes: 0, peakBuffers: 0, difference: 0 };
  #stopped: RecordingStatistics['stopped'];

  constructor({ maxBytes = MOST_BYTES, onEvent }: RecordingOptions = {}) {
    this.#maxBytes = maxBytes;
    this.#onEvent = onEvent;
  }

  /** What it did so far. */
  get statistics(): RecordingStatistics {
    const { numBytesAllocated: bytes = 0, buffers = 0 } = this.#pool ?? {};
    return { ...this.#counts, bytes, buffers, ...(this.#stopped && { stopped: this.#stopped }) };
  }

  /**
   * @param key says all that the work depends on beside the values of `inputs`, their shapes included
   * @param weights variables that it reads: those that were given other tensors are read anew
   * @param work makes tensors of its own, from what it is given in place of `inputs`
   */
  run(key: string, inputs: NamedTensors, weights: readonly tf.Variable[], work: Work): Record<string, tf.Tensor> {
    if (this.#isBusy || this.#stopped || !this.#canRecord()) return work(inputs);
    startRepeatedWork();
    const entry = this.#entries.get(key);
    if (entry?.recording.holds()) {
      if (entry.state === 'compared' || !entry.recording.isFree()) return this.#encode(inputs, work);
      if (entry.state === 'recorded') return this.#compare(key, entry, inputs, work);
      this.#counts.played++;
      return entry.recording.play(inputs);
    }
    if (entry) this.#drop(key, entry);
    const seen = (this.#seen.get(key) ?? 0) + 1;
    if (this.#seen.size < 1000 || seen > 1) this.#seen.set(key, seen);
    const outputs = this.#encode(inputs, work);
    const isNew = seen <= BEFORE || (this.#attempts.get(key) ?? 0) >= ATTEMPTS;
    if (!isNew && !this.#isFull && this.#entries.size < MOST) this.#record(key, inputs, weights, work);
    return outputs;
  }

  /** Waits for what was recorded or compared since the last time, and acts on it. Call between steps, when nothing that was given is in use. */
  async settle(): Promise<void> {
    while (this.#open.length > 0) {
      const events = await Promise.all(this.#open.splice(0));
      for (const event of events) {
        if (!event) continue;
        if (event.kind === 'stopped') this.#stop(event);
        else if (!this.#stopped) this.#onEvent?.(event);
        // Nobody asks tfjs' own buffers for this work's activations any more.
        if (event.kind === 'checked') trimUnusedBuffers(0);
      }
    }
  }

  /** Frees the recordings. What they gave must not be used any more. */
  dispose(): void {
    if (this.#pool) startRepeatedWork();
    this.#entries.clear();
    this.#pool?.dispose();
    this.#pool = undefined;
  }

  #stop(event: Extract<RecordingEvent, { kind: 'stopped' }>): void {
    if (this.#stopped) return;
    this.#stopped = event.reason;
    this.dispose();
    this.#onEvent?.(event);
  }

  /** The work as it is, whatever it asks for inside. */
  #encode(inputs: NamedTensors, work: Work): Record<string, tf.Tensor> {
    this.#counts.encoded++;
    return this.#alone(() => work(inputs));
  }

  #alone<T>(run: () => T): T {
    this.#isBusy = true;
    try {
      return run();
    } finally {
      this.#isBusy = false;
    }
  }

  #record(key: string, inputs: NamedTensors, weights: readonly tf.Variable[], work: Work): void {
    const [backend, pool] = [this.#backend as RecordingBackend, this.#pool as RecordingPool];
    this.#attempts.set(key, (this.#attempts.get(key) ?? 0) + 1);
    let recording: Recording | undefined;
    let failed: string | undefined;
    const failure = inScopes(backend, () => {
      try {
        recording = this.#alone(() => record(backend, pool, inputs, weights, work));
      } catch (error) {
        // Nobody waits for what this would have given.
        if (error instanceof PoolFull) this.#isFull = true;
        else failed = error instanceof Error ? error.message : String(error);
      }
    });
    this.#counts.peakBytes = Math.max(this.#counts.peakBytes, pool.numBytesAllocated);
    this.#counts.peakBuffers = Math.max(this.#counts.peakBuffers, pool.buffers);
    const { bytes, buffers } = this.statistics;
    if (recording) {
      this.#entries.set(key, { recording, state: 'recorded' });
      this.#counts.recorded++;
    }
    const { dispatches } = recording ?? { dispatches: 0 };
    this.#open.push(
      failure.then((stopped): RecordingEvent | undefined => {
        if (stopped) return stopped;
        if (failed !== undefined) return { kind: 'stopped', reason: 'invalid', message: failed };
        if (recording) return { kind: 'recorded', dispatches, bytes, buffers };
        return this.#isFull ? { kind: 'full', bytes, buffers, maxBytes: this.#maxBytes } : undefined;
      }),
    );
  }

  #compare(key: string, entry: Entry, inputs: NamedTensors, work: Work): Record<string, tf.Tensor> {
    entry.state = 'compared';
    let outputs: Record<string, tf.Tensor> = {};
    let numbers: tf.Tensor1D | undefined;
    const failure = inScopes(this.#backend as RecordingBackend, () => {
      // First the replay: where it wrote to what is not its own, tfjs' numbers come after it.
      const played = entry.recording.play(inputs);
      outputs = this.#encode(inputs, work);
      numbers = differenceOf(outputs, played);
      tf.dispose(Object.values(played));
    });
    this.#counts.checked++;
    this.#open.push(
      Promise.all([failure, readDifference(numbers as tf.Tensor1D)]).then(([stopped, difference]) => {
        if (stopped) return stopped;
        const tensors = Object.keys(outputs).length;
        // Numbers that are none in both say nothing of the recording.
        if (difference === undefined) {
          entry.state = 'recorded';
          return undefined;
        }
        this.#counts.difference = Math.max(this.#counts.difference, difference);
        if (difference > AGREEMENT) return { kind: 'stopped', reason: 'disagreement', difference, tensors, work: key };
        entry.state = 'right';
        return { kind: 'checked', difference, tensors };
      }),
    );
    return outputs;
  }

  /** Forgets a recording. Its buffers come back, unless somebody still holds what it gave. */
  #drop(key: string, { recording }: Entry): void {
    this.#entries.delete(key);
    if (recording.isFree()) for (const buffer of recording.buffers) this.#pool?.unpin(buffer);
  }

  #canRecord(): boolean {
    // Uniforms that are not kept would be overwritten.
    if (!reusesBindings()) return false;
    const backend = tf.backend() as unknown as RecordingBackend;
    if (this.#backend !== backend || !this.#pool) {
      this.dispose();
      this.#backend = backend;
      this.#pool = new RecordingPool(backend.bufferManager, this.#maxBytes);
    }
    return true;
  }
}
