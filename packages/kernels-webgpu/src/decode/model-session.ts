// ModelSession: one conversation over all layers of a model; its turns add each layer's attention to the caller's calls.
import { HipError } from '@hip/mask-search';
import { checkCut } from '../cache/cuts.ts';
import type { GpuContext } from '../dispatch/context.ts';
import type { LayerAttention } from './layer-attention.ts';
import { ModelTurn } from './model-turn.ts';
import { pieceCount, readPiece, writePiece } from './saved-pages.ts';
import { restoreSearches, saveSearches, type SavedSession } from './saved-session.ts';
import type { StepUniforms } from './step-uniforms.ts';

/** What a pool makes a session of. */
export interface SessionParts {
  readonly context: GpuContext;
  readonly offload: boolean;
  readonly layers: readonly LayerAttention[];
  /** Equal for layers whose steps are alike at any time: they share uniforms. */
  readonly kinds: readonly string[];
  /** A session over forks of the layers. */
  readonly fork: (layers: readonly LayerAttention[]) => ModelSession;
}

/** @example see {@link ModelPool} */
export class ModelSession implements Disposable {
  readonly #parts: SessionParts;
  readonly #uniforms = new Map<string, StepUniforms>();
  #turn: ModelTurn | undefined;
  #disposed = false;

  constructor(given: SessionParts) {
    // Uniforms say where a session's page tables lie, too: at the same place in every pool, unless some were full before others.
    const kinds = given.kinds.map((kind, i) => `${kind}@${given.layers[i]!.cache.tablePlace.first}`);
    const parts = { ...given, kinds };
    this.#parts = parts;
    parts.layers.forEach((layer, i) => {
      const kind = parts.kinds[i]!;
      if (!this.#uniforms.has(kind)) this.#uniforms.set(kind, layer.createUniforms());
    });
  }

  /** Tokens held. */
  get length(): number {
    return this.#parts.layers[0]!.cache.length;
  }

  /** Bytes on the device of what searches keep for this conversation. */
  get bytes(): number {
    return this.#parts.layers.reduce((total, layer) => total + layer.bytes, 0);
  }

  /** Searches that steps have made, by layer; 0 where nothing is searched. */
  get searches(): readonly number[] {
    return this.#parts.layers.map(({ state }) => state?.clock.searches ?? 0);
  }

  /**
   * Makes room for the next `tokens` tokens in every layer. One token is a step of decoding, more are a chunk of a prompt. Nothing
   * counts until the turn is committed; a turn that is rolled back or disposed leaves every layer as it was.
   *
   * @param row row of the tensors at which the turn's rows lie, of a step: several conversations may share tensors
   * @throws HipError `out-of-memory` when there is no room; `internal` while another turn is open; after the GPU has refused a turn,
   * that error's code. Nothing has changed then
   */
  begin(tokens: number, { row = 0 }: { readonly row?: number } = {}): ModelTurn {
    this.#checkIdle();
    const { layers, offload, context, kinds } = this.#parts;
    context.assertAlive();
    if (!Number.isSafeInteger(row) || row < 0 || (row > 0 && (tokens !== 1 || offload)))
      throw new HipError(
        'invalid-config',
        `row is ${row}: give an integer >= 0, and 0 for chunks and for pages on the host`,
        { name: 'row', value: row },
      );
    const undo = layers.map((layer) => layer.checkpoint());
    const back = (): void => {
      for (const each of undo) each();
    };
    const done = (): void => {
      this.#turn = undefined;
    };
    try {
      for (const { cache } of layers) cache.reserve(tokens, offload && tokens > 1);
      const uniforms = kinds.map((kind) => this.#uniforms.get(kind)!);
      this.#turn = new ModelTurn({ context, layers, kinds, offload, tokens, row, uniforms, undo: back, done });
      return this.#turn;
    } catch (error) {
      back();
      throw error;
    }
  }

  /**
   * A conversation of the same tokens that goes its own way. Pages are shared until one of the two writes into them; what searches keep is
   * copied on the GPU, so that the fork's next step is what this one's would be.
   *
   * @throws HipError `internal` while a turn is open, `out-of-memory`
   */
  fork(): ModelSession {
    this.#checkIdle();
    return this.#parts.fork(this.#parts.layers);
  }

  /** Whether every layer has what a token behind `length` others sees: the windows of some may have slid on. */
  canTruncate(length: number): boolean {
    return this.#parts.layers.every(({ cache }) => cache.canTruncate(length));
  }

  /**
   * Keeps the first `length` tokens of every layer. Nothing has changed where it throws.
   *
   * @throws HipError `invalid-config`; `unsupported` where a window has slid on, see {@link canTruncate}; `internal` while a turn is open
   */
  truncate(length: number): void {
    this.#checkIdle();
    checkCut(length, this.length);
    for (const { cache } of this.#parts.layers) cache.checkCut(length);
    for (const layer of this.#parts.layers) layer.truncate(length);
  }

  /**
   * What the session is, beside its keys and values: with them another session of an equal pool goes on as this one would, in another
   * process too. No turn may begin between this and the last {@link readPiece}. Waits for the queue.
   *
   * @throws HipError `internal` while a turn is open, `device-lost`
   */
  async save(): Promise<SavedSession> {
    this.#checkIdle();
    const layers = [];
    for (const layer of this.#parts.layers) layers.push(await saveSearches(layer));
    const firstPages = this.#parts.layers.map(({ cache }) => cache.firstPage);
    return { tokens: this.length, firstPages, layers };
  }

  /** Pieces of each layer's keys and values, of so many tokens. */
  pieces(tokens: number): number[] {
    return this.#parts.layers.map(({ cache }) => pieceCount(cache, tokens));
  }

  /** A piece of a layer's keys and values. Waits for the queue. @throws HipError `internal`, `device-lost` */
  async readPiece(layer: number, piece: number): Promise<Uint8Array<ArrayBuffer>> {
    this.#checkIdle();
    return readPiece(this.#parts.layers[layer]!.cache, piece);
  }

  /**
   * Makes an empty session what another was; its pieces are to be written next, all of them, before anything else.
   *
   * @throws HipError `out-of-memory`, `invalid-shape`, `unsupported`; the session is then to be disposed
   */
  restore({ tokens, firstPages, layers }: SavedSession): void {
    this.#checkIdle();
    if (this.length > 0 || layers.length !== this.#parts.layers.length) {
      const message = `a session of ${this.length} tokens and ${this.#parts.layers.length} layers cannot become one of ${layers.length} layers: restore into an empty one of an equal pool`;
      throw new HipError('unsupported', message, { length: this.length, layers: layers.length });
    }
    this.#parts.layers.forEach((layer, i) => {
      layer.cache.restore(tokens, firstPages[i] ?? 0, layer.cache.pool.offload);
      restoreSearches(layer, layers[i]);
    });
  }

  /**
   * Writes a piece that {@link readPiece} gave: pieces of a layer in order, one at a time. With pages on the host nothing else of the pool
   * may run meanwhile.
   *
   * @throws HipError `invalid-shape`, `device-lost`
   */
  async writePiece(layer: number, piece: number, bytes: Uint8Array): Promise<void> {
    this.#checkIdle();
    await writePiece(this.#parts.layers[layer]!, piece, bytes);
  }

  /** With pages on the host: copies full pages there, so that they may leave the device. Await it after each commit. */
  async settle(): Promise<void> {
    for (const { cache } of this.#parts.layers) await cache.pool.settle();
  }

  /** Frees pages and what searches keep; those of forks stay theirs. */
  dispose(): void {
    if (this.#disposed) return;
    this.#turn?.rollback();
    this.#disposed = true;
    for (const layer of this.#parts.layers) {
      layer[Symbol.dispose]();
      layer.cache.dispose();
    }
    for (const uniforms of this.#uniforms.values()) uniforms[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #checkIdle(): void {
    if (this.#disposed) throw new HipError('internal', 'this session is disposed: make another of the pool');
    if (this.#turn)
      throw new HipError('internal', 'a turn of this session is open: commit it, or roll it back, before the next', {
        open: true,
      });
  }
}
