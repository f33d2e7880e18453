// A sequence on a GPU: its tokens, and their keys and values in the model's pages. What fails leaves no trace.
import type { Candidates } from '@hip/checkpoints/generation';
import type { ModelSession } from '@hip/kernels-webgpu';
import type { BlockMask } from '@hip/mask-search';
import { LlmError, throwIfAborted } from '../../errors.ts';
import { busyError, checkAny, checkIds, checkLayers, checkLength, checkRoom, disposedError } from '../checks.ts';
import { translated } from '../failures.ts';
import type { CandidateOptions, ForwardOptions, SavedSequence, Sequence } from '../types.ts';
import type { StepResult } from './batch.ts';
import type { WebgpuModel } from './model.ts';
import { KeptMasks } from './kept-masks.ts';
import { readPrompt } from './prompt.ts';
import type { RowsWant } from './row-outputs.ts';
import { restoreSession, savedPieces } from './saved.ts';
import type { Scheduler, Want } from './scheduler.ts';

/** What sequences share. */
export interface Shared {
  readonly model: WebgpuModel;
  readonly scheduler: Scheduler;
  readonly live: Set<WebgpuSequence>;
}

type Control = Pick<ForwardOptions, 'signal' | 'onProgress' | 'masks'>;

interface RunState {
  readonly session: ModelSession;
  /** Tokens that are held are computed anew, too. */
  readonly isAnew: boolean;
  readonly masks: KeptMasks;
}

export class WebgpuSequence implements Sequence {
  readonly #shared: Shared;
  #ids: number[];
  #session: ModelSession;
  /** By layer, of the last call. */
  #masks: ReadonlyMap<number, BlockMask> = new Map();
  #running = false;
  #disposed = false;

  /** @throws HipError `out-of-memory` */
  constructor(shared: Shared, ids: readonly number[] = [], session: ModelSession = shared.model.pool.createSession()) {
    this.#shared = shared;
    this.#ids = [...ids];
    this.#session = session;
    shared.live.add(this);
  }

  get length(): number {
    return this.#ids.length;
  }

  get tokens(): readonly number[] {
    return [...this.#ids];
  }

  /** Bytes of GPU memory beside the pool. */
  get bytes(): number {
    return this.#session.bytes;
  }

  async forward(ids: ArrayLike<number>, { logits = 'last', ...options }: ForwardOptions = {}): Promise<Float32Array> {
    if (logits === 'all') {
      const out = new Float32Array(ids.length * this.#shared.model.config.vocabSize);
      await this.#append(ids, { kind: 'all', out }, options);
      return out;
    }
    const result = await this.#append(ids, { kind: logits === 'last' ? 'logits' : 'none' }, options);
    return result instanceof Float32Array ? result : new Float32Array(0);
  }

  async candidates(
    ids: ArrayLike<number>,
    { temperature = 1, ...options }: CandidateOptions = {},
  ): Promise<Candidates> {
    checkAny(ids);
    if (!(temperature > 0 && Number.isFinite(temperature))) {
      const message = `temperature is ${temperature}: give a number > 0`;
      throw new LlmError('invalid-input', message, { name: 'temperature', value: temperature });
    }
    return (await this.#append(ids, { kind: 'candidates', temperature }, options)) as Candidates;
  }

  async losses(ids: ArrayLike<number>, options: Omit<ForwardOptions, 'logits'> = {}): Promise<Float32Array> {
    const out = new Float32Array(Math.max(0, ids.length - 1));
    await this.#append(ids, { kind: 'losses', out }, options);
    return out;
  }

  async save(): Promise<SavedSequence> {
    this.#checkIdle('save');
    const { model } = this.#shared;
    if (this.#isStale) await this.#renew();
    let copy: ModelSession | undefined;
    const check = (): void => model.checkOpen();
    const dispose = (): void => {
      if (!model.isClosed) copy?.dispose();
      copy = undefined;
    };
    try {
      // Pages are shared with the copy until this sequence writes into them.
      copy = this.#session.fork();
      const tokens = this.tokens;
      const state = await copy.save();
      return { tokens, state, pieces: savedPieces(copy, tokens.length, check), [Symbol.dispose]: dispose };
    } catch (error) {
      dispose();
      throw translated(error);
    }
  }

  /** Makes an empty sequence what another was. @throws what {@link Engine.restoreSequence} throws; this is then to be disposed */
  async restore({ tokens, state, pieces }: Omit<SavedSequence, keyof Disposable>): Promise<void> {
    this.#checkIdle('restore');
    const { model } = this.#shared;
    checkIds(tokens, model.config.vocabSize);
    checkRoom(0, tokens.length, model.options.contextTokens);
    this.#running = true;
    try {
      const run = () => restoreSession(this.#session, state, tokens.length, pieces, () => this.#check());
      await (model.options.offload === undefined ? run() : model.alone(run));
      await model.context.settled();
      this.#ids = [...tokens];
    } finally {
      this.#running = false;
      if (this.#disposed) this.#free(this.#session);
    }
  }

  fork(): Sequence {
    this.#checkIdle('fork');
    try {
      return new WebgpuSequence(this.#shared, this.#ids, this.#session.fork());
    } catch (error) {
      throw translated(error);
    }
  }

  truncate(length: number): void {
    this.#checkIdle('truncate');
    checkLength(length, this.length);
    try {
      this.#cut(this.#session, length);
    } catch (error) {
      throw translated(error);
    }
    this.#ids.length = length;
    this.#masks = new Map();
  }

  /** Where windows have slid on nothing is held, and the next call computes all tokens anew. */
  #cut(session: ModelSession, length: number): void {
    const held = Math.min(length, session.length);
    session.truncate(session.canTruncate(held) ? held : 0);
  }

  /** Keys and values of tokens are to be computed anew. */
  get #isStale(): boolean {
    return this.#session.length < this.#ids.length;
  }

  /** Computes keys and values of all tokens anew. */
  async #renew(): Promise<void> {
    const { model } = this.#shared;
    const { length } = this.#ids;
    this.#running = true;
    try {
      const prompt = { ids: this.#ids, session: this.#session, first: 0, total: length, skip: 0 };
      const run = () => readPrompt(model, prompt, { kind: 'none' }, { check: () => this.#check() });
      await (model.options.offload === undefined ? run() : model.alone(run));
    } catch (error) {
      this.#takeBack(this.#session, 0);
      throw this.#named(error);
    } finally {
      this.#running = false;
      if (this.#disposed) this.#free(this.#session);
    }
  }

  mask(layer: number): BlockMask | undefined {
    this.#checkIdle('mask');
    return this.#masks.get(this.#indexOf(layer));
  }

  /** Frees keys and values; a call that runs is ended at its next chunk. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    if (!this.#running) this.#free(this.#session);
  }

  #free(session: ModelSession): void {
    const { model, live } = this.#shared;
    if (session === this.#session) live.delete(this);
    model.attention.forget(session);
    if (!model.isClosed) session.dispose();
  }

  /** Where a layer of the model is among those with attention, or −1. */
  #indexOf(layer: number): number {
    return this.#shared.model.shapes.findIndex((shape) => shape.layer === layer);
  }

  /** Runs `ids` after what is held. */
  async #append(ids: ArrayLike<number>, want: Want | RowsWant, options: Control): Promise<StepResult> {
    this.#checkIdle('append');
    const { model } = this.#shared;
    checkIds(ids, model.config.vocabSize);
    const held = this.length;
    const total = held + ids.length;
    checkRoom(held, ids.length, model.options.contextTokens);
    checkLayers(options.masks, model.config.layers);
    if (ids.length === 0) return undefined;
    this.#running = true;
    this.#masks = new Map();
    using masks = new KeptMasks(
      model.context,
      options.masks?.map((layer) => this.#indexOf(layer)),
    );
    // Other frequencies turn every key that is held: all of it is computed anew, beside the old.
    const isTurned = held > 0 && !this.#isStale && model.isLong(total) !== model.isLong(held);
    const isAnew = isTurned || this.#isStale;
    let session = this.#session;
    try {
      throwIfAborted(options.signal, 'the step');
      if (isTurned) session = model.pool.createSession();
      const run = (): Promise<StepResult> => this.#run(ids, want, options, { session, isAnew, masks });
      const result = await (model.options.offload === undefined ? run() : model.alone(run));
      if (masks.isAny) this.#masks = await masks.read();
      if (isTurned) {
        const before = this.#session;
        this.#session = session;
        this.#free(before);
      }
      for (let i = 0; i < ids.length; i++) this.#ids.push(ids[i] as number);
      return result;
    } catch (error) {
      this.#takeBack(session, isAnew ? 0 : held);
      throw this.#named(error);
    } finally {
      this.#running = false;
      if (this.#disposed) this.#free(this.#session);
    }
  }

  async #run(
    ids: ArrayLike<number>,
    want: Want | RowsWant,
    { signal, onProgress }: Control,
    { session, isAnew, masks }: RunState,
  ): Promise<StepResult> {
    const { model, scheduler } = this.#shared;
    const check = (): void => this.#check();
    const held = this.length;
    // Steps of several conversations share passes that are bound once, and keep nothing of one layer.
    const isStep = ids.length === 1 && !isAnew && !masks.isAny && want.kind !== 'all' && want.kind !== 'losses';
    if (isStep) {
      const result = await scheduler.step({
        session,
        id: ids[0] as number,
        position: held,
        want,
        check: () => {
          check();
          throwIfAborted(signal, 'the step');
        },
      });
      check();
      onProgress?.(1, 1);
      return result;
    }
    const all = isAnew ? [...this.#ids, ...Array.from(ids)] : ids;
    const [first, skip] = isAnew ? [0, held] : [held, 0];
    const prompt = { ids: all, session, first, total: held + ids.length, skip, masks };
    return readPrompt(model, prompt, want, { signal, onProgress, check });
  }

  /** The session as it was. On a lost device there is nothing to take back. */
  #takeBack(session: ModelSession, held: number): void {
    const { model } = this.#shared;
    if (session !== this.#session) {
      this.#free(session);
      return;
    }
    if (model.isClosed || model.context.lost || this.#disposed) return;
    if (session.length > held) this.#cut(session, held);
  }

  /** What ended a call: the end of the engine or of this sequence before what came of it. */
  #named(error: unknown): unknown {
    if (error instanceof LlmError) return error;
    if (this.#shared.model.isClosed || this.#disposed) {
      try {
        this.#check();
      } catch (closed) {
        return closed;
      }
    }
    return translated(error);
  }

  #check(): void {
    if (this.#disposed) throw disposedError();
    try {
      this.#shared.model.checkOpen();
    } catch (error) {
      throw translated(error);
    }
  }

  #checkIdle(what: string): void {
    this.#check();
    if (this.#running) throw busyError(what);
  }
}
