// HipSession: the pieces of a model run one after another, attention between them on this project's kernels; to callers it is a session.
import { OnnxError } from '../errors.ts';
import { DATA_TYPES } from '../model/data-types.ts';
import { tensorTypeOf } from '../model/build.ts';
import { SINK_CHANNELS } from '../cut/adapt.ts';
import type { CutGraph } from '../cut/pieces.ts';
import { POSITIONS, ROWS } from '../cut/rotary.ts';
import { ortType, type DecoderInputs } from '../graph/feeds.ts';
import type { AttentionSite } from '../graph/site.ts';
import type { GraphView } from '../graph/view.ts';
import type { AttentionBackend, HeadSizes, LayerForm } from '../runtime/backend.ts';
import { inTurn, tensorClass, type Ort, type OrtMetadata, type OrtSession, type OrtTensor } from '../runtime/ort.ts';
import { callOf, positionsOf, spansOf, type Call, type Feeds } from './call.ts';
import { cacheTensor, importedTokens, Snapshot } from './handles.ts';
import { Sequence } from './sequence.ts';
import { cacheShapeOf, feedable, floatsOf, hostTensor } from './tensors.ts';

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
  #sizes: HeadSizes[] = [];
  #isReleased = false;

  /** @internal use {@link createHipSession} */
  constructor(parts: SessionParts) {
    const { view } = parts;
    this.#parts = parts;
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
  run(feeds: Feeds, fetches?: readonly string[] | Readonly<Record<string, unknown>>): Promise<Record<string, OrtTensor>> {
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
    const sequence = isOwn ? snapshot.sequence : snapshot ? snapshot.sequence.fork(call.past) : new Sequence(call.batch);
    if (!isOwn) this.#sequences.add(new WeakRef(sequence));
    // Held while the call runs: results may be dropped meanwhile.
    sequence.hold();
    try {
      const outputs = await this.#runPieces({ feeds, call, sequence, wanted });
      sequence.advance(call.tokens, call.valid?.map((row) => row.subarray(call.past)));
      this.#addCaches(outputs, { feeds, call, sequence, wanted });
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
        for (const name of piece.inputs) given[name] = feedable(feeds[name] ?? values.get(name) ?? this.#ownFeed(name, { feeds, call, sequence }));
        const fetched = [...piece.outputs.keys()].filter((name) => !this.outputNames.includes(name) || wanted.has(name) || this.#lastReader.has(name));
        const made = await pieces[i]!.run(given, fetched);
        for (const [name, tensor] of Object.entries(made)) {
          if (this.outputNames.includes(name) && wanted.has(name)) outputs[name] = tensor;
          else values.set(name, tensor);
          if (outputs[name] && this.#lastReader.has(name)) values.set(name, tensor);
        }
        for (const site of piece.sites) {
          const { q, k, v, out } = cut.names[site]!;
          const tensors = { q: values.get(q)!, k: values.get(k)!, v: values.get(v)! };
          const caches = await this.#caches(site, tensors, { feeds, call, sequence });
          values.set(out, await backend.attend(caches, tensors, spans));
          for (const name of [q, k, v]) drop(name);
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

  /** What the graph does not have as an input: positions, and sizes of caches. */
  #ownFeed(name: string, { feeds, call, sequence }: CallState): OrtTensor {
    const { ort, cut, sites } = this.#parts;
    const Tensor = tensorClass(ort);
    const { batch, tokens, past } = call;
    if (name === POSITIONS) {
      return hostTensor(Tensor, 'int64', positionsOf(call, sequence.tokens), [batch, tokens]);
    }
    if (name === ROWS) {
      return hostTensor(Tensor, 'int64', Array.from({ length: batch * tokens }, (_, i) => i), [batch, tokens]);
    }
    const shape = cut.cacheShapes.find(({ output }) => output === name);
    if (!shape) throw new OnnxError('invalid-graph', `nothing makes ${name}`, { value: name });
    const { H, D } = this.#cacheSizes(shape.site, feeds);
    return cacheShapeOf(Tensor, shape, { B: batch, H, D, past, total: past + tokens });
  }

  /** Heads and channels of a cache: as a call showed them, as they are fed, or as the graph declares them. */
  #cacheSizes(index: number, feeds: Feeds): { H: number; D: number } {
    const { sites, view } = this.#parts;
    const { past, cacheAxes } = sites[index]!;
    const axes = [...(past?.joined ? [undefined] : []), ...cacheAxes];
    const fed = past ? (feeds[past.key]?.dims ?? []) : [];
    const declared = past ? (view.dims(past.key) ?? []) : [];
    const size = (axis: 'H' | 'D') => {
      const [given, dim] = [fed[axes.indexOf(axis)], declared[axes.indexOf(axis)]];
      return typeof dim === 'number' ? dim : (given ?? 1);
    };
    const known = this.#sizes[index];
    return known ? { H: known.kvHeads, D: this.#channels(index) } : { H: size('H'), D: size('D') };
  }

  /** Channels of a head, without those of a sink. */
  #channels(index: number): number {
    return this.#sizes[index]!.headDim - (this.#parts.forms[index]!.hasSink ? SINK_CHANNELS : 0);
  }

  /** One layer's caches; made at the first call of a text, filled from tensors of numbers where those were given. */
  async #caches(index: number, { q, k }: { q: OrtTensor; k: OrtTensor }, { feeds, call, sequence }: CallState) {
    const { backend, forms, sites } = this.#parts;
    this.#sizes[index] ??= { heads: q.dims[2]!, kvHeads: k.dims[2]!, headDim: q.dims[3]! };
    const known = sequence.layers[index];
    if (known && known.length === call.batch) return known;
    const own = (sequence.layers[index] = Array.from({ length: 0 }, () => undefined as never));
    for (let text = 0; text < call.batch; text++) own.push(backend.createLayer(forms[index]!, this.#sizes[index]!) as never);
    const layer = sequence.layers[index]!;
    if (call.past > 0) {
      const { past } = sites[index]!;
      const stored = this.#sizes[index]!.headDim;
      if (!past) throw new OnnxError('invalid-option', 'this attention has no cache to go on from', { index });
      const [keys, values] = await this.#numbers(index, feeds, call, stored);
      for (const [text, cache] of layer.entries()) cache.append({ k: keys![text]!, v: values![text]! });
    }
    return layer;
  }

  /** Keys and values of tensors of numbers. */
  async #numbers(index: number, feeds: Feeds, call: Call, stored: number) {
    const site = this.#parts.sites[index]!;
    const past = site.past!;
    if (site.slidingCache) {
      const message = `${past.key} is a buffer of numbers that another session filled: give what this session's run gave, or begin with an empty mask`;
      throw new OnnxError('invalid-option', message, { name: past.key });
    }
    const isToken = (text: number, column: number) => call.valid?.[text]![column] !== 0;
    const halvesOf = async (name: string, half: 0 | 1 | undefined) => {
      const tensor = feeds[name]!;
      const floats = floatsOf(tensor.type, await tensor.getData());
      const size = floats.length / 2;
      const source =
        half === undefined
          ? { floats, dims: tensor.dims }
          : { floats: floats.subarray(half * size, (half + 1) * size), dims: tensor.dims.slice(1) };
      return importedTokens(site, source, { rows: call.past, stored, isToken });
    };
    return past.joined
      ? [await halvesOf(past.key, 0), await halvesOf(past.key, 1)]
      : [await halvesOf(past.key, undefined), await halvesOf(past.value, undefined)];
  }

  /** The caches as outputs. */
  #addCaches(outputs: Record<string, OrtTensor>, { feeds, call, sequence, wanted }: RunState): void {
    const { ort, sites, view } = this.#parts;
    const Tensor = tensorClass(ort);
    const snapshots = new Map<number, Snapshot>();
    for (const [layer, site] of sites.entries()) {
      const { present, past } = site;
      if (!present) continue;
      const room = past ? feeds[past.key]!.dims.slice(past.joined ? 1 : 0)[site.cacheAxes.indexOf('S')]! : 0;
      const buffer = site.slidingCache ? room : 0;
      const before = call.snapshot?.bufferRows ?? Math.min(call.past, buffer);
      const bufferRows = !site.slidingCache ? 0 : before + call.tokens > buffer ? Math.max(0, Math.min(call.past + call.tokens, buffer - 1)) : before + call.tokens;
      // Results of one call stand for the same state.
      const snapshot = snapshots.get(bufferRows) ?? new Snapshot(sequence, bufferRows);
      snapshots.set(bufferRows, snapshot);
      const isFixed = site.slidingCache || (call.snapshot === undefined && room > call.past + call.tokens);
      const type = ortType(tensorTypeOf(view.outputs.get(present.key)!)?.elemType ?? DATA_TYPES.float);
      const { kvHeads: heads, headDim: stored } = this.#sizes[layer]!;
      const form = { type, site, layer, heads, channels: this.#channels(layer), stored, rows: isFixed ? room : sequence.columns };
      const parts = present.joined ? ([['both', present.key]] as const) : ([['key', present.key], ['value', present.value]] as const);
      for (const [part, name] of parts) {
        if (wanted.has(name)) outputs[name] = cacheTensor(Tensor, snapshot, this, { ...form, part });
      }
    }
  }
}

interface CallState {
  readonly feeds: Feeds;
  readonly call: Call;
  readonly sequence: Sequence;
}

interface RunState extends CallState {
  readonly wanted: ReadonlySet<string>;
}

