// HipSession: the pieces of a model run one after another, attention between them on this project's kernels; to callers it is a session.
import { OnnxError } from '../errors.ts';
import { tensorTypeOf } from '../model/build.ts';
import type { PartMask } from '../cut/branches.ts';
import type { CutGraph } from '../cut/pieces.ts';
import { ortType, type DecoderInputs } from '../graph/feeds.ts';
import { vocabularyOf } from '../graph/vocabulary.ts';
import type { AttentionSite } from '../graph/site.ts';
import type { GraphView } from '../graph/view.ts';
import type { AttentionBackend, LayerForm, PieceSession } from '../runtime/backend.ts';
import { inTurn, type Ort, type OrtMetadata, type OrtTensor } from '../runtime/ort.ts';
import { callOf, type Feeds } from './call.ts';
import { checkFeeds, type FeedForm } from './check-feeds.ts';
import { SiteCaches, type CallState } from './caches.ts';
import { divided } from './parts.ts';
import { PieceRunner } from './run-pieces.ts';
import { Sequence } from './sequence.ts';

/** What a session is made of. */
export interface SessionParts {
  readonly ort: Ort;
  readonly view: GraphView;
  readonly sites: readonly AttentionSite[];
  readonly inputs: DecoderInputs;
  readonly padding: boolean;
  /** The mask of parts of a prompt; undefined: prompts run at once. */
  readonly partMask: PartMask;
  readonly cut: CutGraph;
  readonly pieces: readonly PieceSession[];
  readonly forms: readonly LayerForm[];
  readonly backend: AttentionBackend;
}

/**
 * A model with its attention cut out. It has the shape of an `InferenceSession` of onnxruntime: names, metadata, `run`, `release`.
 * Outputs `present.*` of attentions that were cut refer to caches of this session: give them back as `past_key_values.*`, and dispose of
 * them when a text is over. Calls may overlap; they run one after another.
 */
export class HipSession {
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
  readonly inputMetadata: readonly OrtMetadata[];
  readonly outputMetadata: readonly OrtMetadata[];
  /** Attentions that were cut out. */
  readonly attentions: number;
  readonly #parts: SessionParts;
  readonly #runner: PieceRunner;
  readonly #sequences = new Set<WeakRef<Sequence>>();
  readonly #caches: SiteCaches;
  readonly #form: FeedForm;
  #isReleased = false;

  /** @internal use {@link createHipSession} */
  constructor(parts: SessionParts) {
    const { view, inputs } = parts;
    this.#parts = parts;
    this.#caches = new SiteCaches(parts);
    this.attentions = parts.sites.length;
    const metadata = (values: GraphView['inputs']): OrtMetadata[] =>
      [...values.values()].map((value) => {
        const { elemType = 0, dims = [] } = tensorTypeOf(value) ?? {};
        return { name: value.name, isTensor: true, type: ortType(elemType), shape: dims };
      });
    this.inputMetadata = metadata(view.inputs);
    this.outputMetadata = metadata(view.outputs);
    this.inputNames = this.inputMetadata.map(({ name }) => name);
    this.outputNames = this.outputMetadata.map(({ name }) => name);
    const vocabulary = vocabularyOf(view, inputs.tokens);
    this.#form = { metadata: this.inputMetadata, inputs, caches: this.#caches.names, vocabulary };
    const { ort, cut, pieces, backend } = parts;
    const { outputNames } = this;
    this.#runner = new PieceRunner({ ort, cut, pieces, backend, caches: this.#caches, outputNames });
  }

  /** Bytes of the caches that results still refer to. */
  get cacheBytes(): number {
    let bytes = 0;
    for (const reference of this.#sequences) {
      const sequence = reference.deref();
      if (!sequence || sequence.isDisposed) this.#sequences.delete(reference);
      else bytes += sequence.bytes;
    }
    return bytes;
  }

  /**
   * Runs the model, as `InferenceSession.run` does. What throws leaves every cache as it was.
   *
   * @param feeds - a tensor for each of {@link inputNames}; caches: empty ones, ones of this session, or tensors of numbers
   * @param fetches - names of the outputs to give: a list, or an object's keys. @defaultValue all
   * @throws OnnxError `invalid-option` for feeds that are missing, of other types, or do not fit together; HipError `out-of-memory`
   */
  run(
    feeds: Feeds,
    fetches?: readonly string[] | Readonly<Record<string, unknown>>,
  ): Promise<Record<string, OrtTensor>> {
    if (this.#isReleased) {
      return Promise.reject(new OnnxError('invalid-option', 'this session was released: create another', {}));
    }
    return inTurn(this.#parts.ort, async () => this.#run(feeds, this.#wanted(fetches)));
  }

  /** Frees the pieces, the caches and the kernels' memory and threads. Waits for calls that run. */
  async release(): Promise<void> {
    if (this.#isReleased) return;
    this.#isReleased = true;
    await inTurn(this.#parts.ort, async () => {
      for (const reference of this.#sequences) reference.deref()?.dispose();
      this.#sequences.clear();
      for (const { session } of this.#parts.pieces) await session.release();
      this.#parts.backend[Symbol.dispose]();
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release();
  }

  /** A call through the pieces; a long prompt in parts, where the backend asks for that and the graph allows it. */
  async #runParts(state: CallState, wanted: ReadonlySet<string>): Promise<Record<string, OrtTensor>> {
    const { ort, sites, inputs, backend, partMask } = this.#parts;
    const rows = backend.partTokens;
    const division = rows && partMask ? divided(state, { inputs, sites, rows, ort, partMask }) : undefined;
    if (!division) return this.#runner.run({ ...state, wanted });
    const runs: Record<string, OrtTensor>[] = [];
    try {
      for (const part of division.parts) runs.push(await this.#runner.run({ ...state, ...part, wanted }));
    } catch (error) {
      if (runs.length === 0) throw error;
      // Some graphs do not take several tokens after others.
      state.sequence.restore();
      return this.#runner.run({ ...state, wanted });
    }
    return division.join(runs);
  }

  #wanted(fetches: readonly string[] | Readonly<Record<string, unknown>> | undefined): ReadonlySet<string> {
    const all = new Set(this.outputNames);
    if (fetches === undefined || fetches === null) return all;
    const names = Array.isArray(fetches) ? (fetches as readonly string[]) : Object.keys(fetches);
    const strangers = Array.isArray(fetches) ? names.filter((name) => !all.has(name)) : [];
    if (strangers.length > 0) {
      const message = `fetches hold ${strangers.join(', ')}: the outputs are ${this.outputNames.join(', ')}`;
      throw new OnnxError('invalid-option', message, { fetches: strangers });
    }
    // onnxruntime takes options in the same place.
    return names.length > 0 && names.every((name) => all.has(name)) ? new Set(names) : all;
  }

  async #run(feeds: Feeds, wanted: ReadonlySet<string>): Promise<Record<string, OrtTensor>> {
    const { sites, inputs, padding } = this.#parts;
    checkFeeds(feeds, this.#form);
    const call = callOf(feeds, inputs, sites, { owner: this, padding });
    const { snapshot } = call;
    // A cache that others went on from is left to them.
    const isOwn = snapshot !== undefined && snapshot.columns === snapshot.sequence.columns;
    const sequence = isOwn
      ? snapshot.sequence
      : snapshot
        ? snapshot.sequence.fork(call.past)
        : new Sequence(call.batch);
    if (!isOwn) this.#sequences.add(new WeakRef(sequence));
    // Held while the call runs: results may be dropped meanwhile.
    sequence.hold();
    try {
      // A cache of numbers is taken over by each layer when its turn comes.
      if (!snapshot && call.past > 0)
        sequence.advance(
          call.past,
          call.valid?.map((row) => row.subarray(0, call.past)),
        );
      const outputs = await this.#runParts({ feeds, call, sequence }, wanted);
      sequence.advance(
        call.tokens,
        call.valid?.map((row) => row.subarray(call.past)),
      );
      Object.assign(outputs, this.#caches.outputs({ feeds, call, sequence }, wanted, this));
      return outputs;
    } catch (error) {
      if (isOwn) sequence.restore();
      throw error;
    } finally {
      sequence.release();
    }
  }
}
