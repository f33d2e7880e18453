// HipSession: the pieces of a model run one after another, attention between them on this project's kernels; to callers it is a session.
import { OnnxError } from '../errors.ts';
import { tensorTypeOf } from '../model/build.ts';
import type { CutGraph } from '../cut/pieces.ts';
import { POSITIONS, ROWS } from '../cut/rotary.ts';
import { ortType, type DecoderInputs } from '../graph/feeds.ts';
import type { AttentionSite } from '../graph/site.ts';
import type { GraphView } from '../graph/view.ts';
import type { AttentionBackend, LayerForm } from '../runtime/backend.ts';
import { inTurn, tensorClass, type Ort, type OrtMetadata, type OrtSession, type OrtTensor } from '../runtime/ort.ts';
import { callOf, positionsOf, spansOf, type Feeds } from './call.ts';
import { SiteCaches, type CallState } from './caches.ts';
import { Sequence } from './sequence.ts';
import { cacheShapeOf, feedable, hostTensor } from './tensors.ts';

/** What a session is made of. */
export interface SessionParts {
  readonly ort: Ort;
  readonly view: GraphView;
  readonly sites: readonly AttentionSite[];
  readonly inputs: DecoderInputs;
  readonly padding: boolean;
  readonly cut: CutGraph;
  readonly pieces: readonly OrtSession[];
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
  /** The last call that reads each value between pieces. */
  readonly #lastReader: ReadonlyMap<string, number>;
  readonly #sequences = new Set<WeakRef<Sequence>>();
  readonly #caches: SiteCaches;
  #isReleased = false;

  /** @internal use {@link createHipSession} */
  constructor(parts: SessionParts) {
    const { view } = parts;
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
    const last = new Map<string, number>();
    for (const [i, { inputs }] of parts.cut.pieces.entries()) for (const name of inputs) last.set(name, i);
    this.#lastReader = last;
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
   * @throws OnnxError `invalid-option` for feeds that are missing or do not fit together; HipError `out-of-memory`
   */
  run(
    feeds: Feeds,
    fetches?: readonly string[] | Readonly<Record<string, unknown>>,
  ): Promise<Record<string, OrtTensor>> {
    return inTurn(this.#parts.ort, () => this.#run(feeds, this.#wanted(fetches)));
  }

  /** Frees the pieces, the caches and the kernels' memory and threads. Waits for calls that run. */
  async release(): Promise<void> {
    if (this.#isReleased) return;
    this.#isReleased = true;
    await inTurn(this.#parts.ort, async () => {
      for (const reference of this.#sequences) reference.deref()?.dispose();
      this.#sequences.clear();
      for (const piece of this.#parts.pieces) await piece.release();
      this.#parts.backend[Symbol.dispose]();
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release();
  }

  #wanted(fetches: readonly string[] | Readonly<Record<string, unknown>> | undefined): ReadonlySet<string> {
    const all = new Set(this.outputNames);
    if (fetches === undefined || fetches === null) return all;
    const names = Array.isArray(fetches) ? (fetches as readonly string[]) : Object.keys(fetches);
    // onnxruntime takes options in the same place.
    return names.length > 0 && names.every((name) => all.has(name)) ? new Set(names) : all;
  }

  async #run(feeds: Feeds, wanted: ReadonlySet<string>): Promise<Record<string, OrtTensor>> {
    if (this.#isReleased) throw new OnnxError('invalid-option', 'this session was released: create another', {});
    const { sites, inputs, padding } = this.#parts;
    const missing = this.inputNames.filter((name) => !feeds[name]);
    if (missing.length > 0) {
      throw new OnnxError('invalid-option', `the feeds lack ${missing.join(', ')}`, { missing });
    }
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
      const outputs = await this.#runPieces({ feeds, call, sequence, wanted });
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

  async #runPieces({ feeds, call, sequence, wanted }: RunState): Promise<Record<string, OrtTensor>> {
    const { cut, pieces, backend } = this.#parts;
    const values = new Map<string, OrtTensor>();
    const outputs: Record<string, OrtTensor> = {};
    const spans = spansOf(call);
    const drop = (name: string): void => {
      values.get(name)?.dispose();
      values.delete(name);
    };
    try {
      for (const [i, piece] of cut.pieces.entries()) {
        const given: Record<string, OrtTensor> = {};
        for (const name of piece.inputs)
          given[name] = feedable(feeds[name] ?? values.get(name) ?? this.#ownFeed(name, { feeds, call, sequence }));
        const fetched = [...piece.outputs.keys()].filter(
          (name) => !this.outputNames.includes(name) || wanted.has(name) || this.#lastReader.has(name),
        );
        const kept = this.#stepTensors(piece.sites, call);
        const made = await pieces[i]!.run(
          given,
          kept ? Object.fromEntries(fetched.map((name) => [name, kept.get(name) ?? null])) : fetched,
        );
        for (const [name, tensor] of Object.entries(made)) {
          if (this.outputNames.includes(name) && wanted.has(name)) outputs[name] = tensor;
          else values.set(name, tensor);
          if (outputs[name] && this.#lastReader.has(name)) values.set(name, tensor);
        }
        for (const site of piece.sites) {
          const { q, k, v, out } = cut.names[site]!;
          // The runtime may give others of the same memory for those that it was given.
          const own = (name: string) => kept?.get(name) ?? values.get(name)!;
          const tensors = { q: own(q), k: own(k), v: own(v) };
          const caches = await this.#caches.layer(site, tensors, { feeds, call, sequence });
          values.set(out, await backend.attend(caches, tensors, spans));
          for (const name of [q, k, v]) {
            if (kept) values.delete(name);
            else drop(name);
          }
        }
        for (const name of values.keys()) {
          if ((this.#lastReader.get(name) ?? -1) > i) continue;
          if (outputs[name]) values.delete(name);
          else drop(name);
        }
      }
      return outputs;
    } catch (error) {
      for (const tensor of Object.values(outputs)) tensor.dispose();
      throw error;
    } finally {
      for (const [name, tensor] of values) if (outputs[name] !== tensor) tensor.dispose();
    }
  }

  /** Where a piece writes a single token's queries, keys and values, by name. */
  #stepTensors(
    sites: readonly number[],
    { batch, tokens }: CallState['call'],
  ): ReadonlyMap<string, OrtTensor> | undefined {
    const { backend, cut } = this.#parts;
    if (batch !== 1 || tokens !== 1 || !backend.stepTensors || sites.length === 0) return undefined;
    const tensors = new Map<string, OrtTensor>();
    for (const site of sites) {
      const sizes = this.#caches.known(site);
      if (!sizes) return undefined;
      const { q, k, v } = backend.stepTensors(site, sizes);
      const names = cut.names[site]!;
      tensors.set(names.q, q).set(names.k, k).set(names.v, v);
    }
    return tensors;
  }

  /** What the graph does not have as an input: positions, and sizes of caches. */
  #ownFeed(name: string, { feeds, call, sequence }: CallState): OrtTensor {
    const { ort, cut } = this.#parts;
    const Tensor = tensorClass(ort);
    const { batch, tokens, past } = call;
    if (name === POSITIONS) {
      return hostTensor(Tensor, 'int64', positionsOf(call, sequence.tokens), [batch, tokens]);
    }
    if (name === ROWS) {
      return hostTensor(
        Tensor,
        'int64',
        Array.from({ length: batch * tokens }, (_, i) => i),
        [batch, tokens],
      );
    }
    const shape = cut.cacheShapes.find(({ output }) => output === name);
    if (!shape) throw new OnnxError('invalid-graph', `nothing makes ${name}`, { value: name });
    const { H, D } = this.#caches.sizes(shape.site, feeds);
    return cacheShapeOf(Tensor, shape, { B: batch, H, D, past, total: past + tokens });
  }
}

interface RunState extends CallState {
  readonly wanted: ReadonlySet<string>;
}
