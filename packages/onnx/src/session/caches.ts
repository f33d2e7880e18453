// The caches of a session's attentions: made at the first call of a text, filled from tensors of numbers, handed out as tensors.
import { OnnxError } from '../errors.ts';
import { tensorTypeOf } from '../model/build.ts';
import { DATA_TYPES } from '../model/data-types.ts';
import { SINK_CHANNELS } from '../cut/adapt.ts';
import { ortType } from '../graph/feeds.ts';
import type { AttentionSite } from '../graph/site.ts';
import type { GraphView } from '../graph/view.ts';
import type { AttentionBackend, CutTensors, HeadSizes, LayerCache, LayerForm } from '../runtime/backend.ts';
import { tensorClass, type Ort, type OrtTensor } from '../runtime/ort.ts';
import type { Call, Feeds } from './call.ts';
import { checkCacheDims } from './check-feeds.ts';
import { cacheTensor, importedTokens, Snapshot } from './handles.ts';
import type { Sequence } from './sequence.ts';
import { floatsOf } from './tensors.ts';

/** A call that runs. */
export interface CallState {
  readonly feeds: Feeds;
  readonly call: Call;
  readonly sequence: Sequence;
}

/** What the caches are made by. */
export interface CacheParts {
  readonly ort: Ort;
  readonly view: GraphView;
  readonly sites: readonly AttentionSite[];
  readonly forms: readonly LayerForm[];
  readonly backend: AttentionBackend;
}

export class SiteCaches {
  readonly #parts: CacheParts;
  /** As the first call showed them. */
  readonly #sizes: HeadSizes[] = [];

  /** Inputs that hold caches. */
  readonly names: ReadonlySet<string>;

  constructor(parts: CacheParts) {
    this.#parts = parts;
    this.names = new Set(parts.sites.flatMap(({ past }) => (past ? [past.key, past.value] : [])));
  }

  /** Heads and channels of a cache: as a call showed them, as the graph declares them, or as they are fed. */
  sizes(index: number, feeds: Feeds): { readonly H: number; readonly D: number } {
    const known = this.#sizes[index];
    if (known) return { H: known.kvHeads, D: this.#channels(index) };
    const { sites, view } = this.#parts;
    const { past, cacheAxes } = sites[index]!;
    const axes = [...(past?.joined ? [undefined] : []), ...cacheAxes];
    const fed = past ? (feeds[past.key]?.dims ?? []) : [];
    const declared = past ? (view.dims(past.key) ?? []) : [];
    const size = (axis: 'H' | 'D') => {
      const dim = declared[axes.indexOf(axis)];
      return typeof dim === 'number' ? dim : (fed[axes.indexOf(axis)] ?? 1);
    };
    return { H: size('H'), D: size('D') };
  }

  /** Heads and channels as the first call showed them. */
  known(index: number): HeadSizes | undefined {
    return this.#sizes[index];
  }

  /** Channels of a head, without those of a sink. */
  #channels(index: number): number {
    return this.#sizes[index]!.headDim - (this.#parts.forms[index]!.hasSink ? SINK_CHANNELS : 0);
  }

  /** One layer's caches, a text each. @throws OnnxError `invalid-option`, HipError `out-of-memory` */
  async layer(index: number, { q, k }: Pick<CutTensors, 'q' | 'k'>, state: CallState): Promise<readonly LayerCache[]> {
    const { backend, forms } = this.#parts;
    const { call, sequence } = state;
    const sizes = (this.#sizes[index] ??= { heads: q.dims[2]!, kvHeads: k.dims[2]!, headDim: q.dims[3]! });
    const known = sequence.layers[index];
    if (known) return known;
    const layer: LayerCache[] = [];
    sequence.layers[index] = layer;
    for (let text = 0; text < call.batch; text++)
      layer.push(backend.createLayer(forms[index]!, sizes, call.past + call.tokens));
    if (call.past === 0) return layer;
    const [keys, values] = await this.#numbers(index, state);
    for (const [text, cache] of layer.entries()) await cache.append({ k: keys[text]!, v: values[text]! });
    return layer;
  }

  /** Keys and values of tensors of numbers, by text. */
  async #numbers(
    index: number,
    { feeds, call }: CallState,
  ): Promise<readonly [readonly Float32Array[], readonly Float32Array[]]> {
    const site = this.#parts.sites[index]!;
    const { past } = site;
    if (!past || site.slidingCache) {
      const name = past?.key ?? 'the cache';
      const message = `${name} is a buffer of numbers that another session filled: give what this session's run gave, or begin a text`;
      throw new OnnxError('invalid-option', message, { name });
    }
    const stored = this.#sizes[index]!.headDim;
    const isToken = (text: number, column: number) => call.valid?.[text]![column] !== 0;
    const { kvHeads: H } = this.#sizes[index]!;
    const sizes = { B: call.batch, S: this.#rowsOf(feeds), H, D: this.#channels(index) };
    const tokensOf = async (name: string, half?: 0 | 1): Promise<readonly Float32Array[]> => {
      const tensor = feeds[name]!;
      checkCacheDims(name, tensor.dims.slice(half === undefined ? 0 : 1), site.cacheAxes, sizes);
      const floats = floatsOf(tensor.type, await tensor.getData());
      const size = floats.length / 2;
      const source =
        half === undefined
          ? { floats, dims: tensor.dims }
          : { floats: floats.subarray(half * size, (half + 1) * size), dims: tensor.dims.slice(1) };
      return importedTokens(site, source, { rows: call.past, stored, isToken });
    };
    return past.joined
      ? [await tokensOf(past.key, 0), await tokensOf(past.key, 1)]
      : [await tokensOf(past.key), await tokensOf(past.value)];
  }

  /** Rows of the first cache, which others have, too. */
  #rowsOf(feeds: Feeds): number {
    const { past, cacheAxes } = this.#parts.sites.find((each) => each.past && !each.slidingCache)!;
    return feeds[past!.key]!.dims.slice(past!.joined ? 1 : 0)[cacheAxes.indexOf('S')]!;
  }

  /** The caches as outputs, by name. */
  outputs({ feeds, call, sequence }: CallState, wanted: ReadonlySet<string>, owner: object): Record<string, OrtTensor> {
    const { ort, sites, view } = this.#parts;
    const buffers = sites.map((site, layer) => this.#buffer(site, call.snapshot?.buffers[layer], { feeds, call }));
    const snapshot = new Snapshot(sequence, buffers);
    const outputs: Record<string, OrtTensor> = {};
    for (const [layer, site] of sites.entries()) {
      const { present } = site;
      if (!present) continue;
      const type = ortType(tensorTypeOf(view.outputs.get(present.key)!)?.elemType ?? DATA_TYPES.float);
      const { kvHeads: heads, headDim: stored } = this.#sizes[layer]!;
      const rows = buffers[layer]?.rows ?? sequence.columns;
      const form = { type, site, layer, heads, channels: this.#channels(layer), stored, rows };
      const parts = present.joined
        ? ([['both', present.key]] as const)
        : ([
            ['key', present.key],
            ['value', present.value],
          ] as const);
      for (const [part, name] of parts) {
        if (wanted.has(name)) outputs[name] = cacheTensor(tensorClass(ort), snapshot, owner, { ...form, part });
      }
    }
    return outputs;
  }

  /** A cache tensor with as many rows as the caller's buffer has. */
  #buffer(
    site: AttentionSite,
    before: Snapshot['buffers'][number],
    { feeds, call }: Pick<CallState, 'feeds' | 'call'>,
  ): Snapshot['buffers'][number] {
    const { past, slidingCache, cacheAxes } = site;
    if (!past) return undefined;
    const rows = before?.rows ?? feeds[past.key]!.dims.slice(past.joined ? 1 : 0)[cacheAxes.indexOf('S')]!;
    const columns = call.past + call.tokens;
    if (slidingCache) {
      // The newest tokens: all but one row are filled where they no longer fit.
      const filled = (before?.filled ?? 0) + call.tokens;
      return { rows, filled: filled > rows ? Math.max(0, Math.min(columns, rows - 1)) : filled };
    }
    const isFixed = before !== undefined || (call.snapshot === undefined && rows > call.past);
    return isFixed ? { rows: Math.max(rows, columns), filled: columns } : undefined;
  }
}
