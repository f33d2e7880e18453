// Evaluates the masks of a graph on small inputs, in a session of the nodes that make them, and says what they mean.
import { onnxNode, tensorTypeOf } from '../model/build.ts';
import { DATA_TYPES } from '../model/data-types.ts';
import { onnxModelBytes } from '../model/render.ts';
import type { NodeProto } from '../model/types.ts';
import { ortType, type DecoderInputs } from '../graph/feeds.ts';
import { meaningOf, type MaskMeaning, type MaskProbe, type MaskValues } from '../graph/masks.ts';
import { refuse, type AttentionSite } from '../graph/site.ts';
import type { GraphView } from '../graph/view.ts';
import type { CacheShape } from '../cut/cache-shapes.ts';
import { maskPiece } from '../cut/mask-piece.ts';
import {
  createOrtSession,
  tensorClass,
  type Ort,
  type OrtSession,
  type OrtSessionOptions,
  type OrtTensor,
} from '../runtime/ort.ts';
import { cacheShapeOf, hostTensor } from './tensors.ts';

/** What the masks of a graph say. */
export interface MaskFindings {
  /** Window of each site; 0: none. */
  readonly windows: readonly number[];
  /** Padding is hidden: the mask of padding counts. */
  readonly padding: boolean;
}

/** A run that fails is not worth a line on the console. */
const QUIET = { logSeverityLevel: 4 };
/** Longest window that is looked for among a graph's constants. */
const MAX_WINDOW = 131_072;
/** Longest text that a graph without a cache is tried with: its mask has the square of it. */
const MAX_TEXT = 4160;

/** Evaluates masks. @throws OnnxError `unsupported` for an attention whose mask is not causal, naming what it is */
export async function findMasks(
  ort: Ort,
  view: GraphView,
  graph: {
    readonly chosen: readonly AttentionSite[];
    /** Attentions that stay in the graph: masks may ask for the sizes of their caches. */
    readonly others: readonly AttentionSite[];
    readonly inputs: DecoderInputs;
    /** Of the session that evaluates. */
    readonly options: OrtSessionOptions;
  },
): Promise<MaskFindings> {
  const { chosen: sites, inputs } = graph;
  const all = [...sites, ...graph.others];
  const windows = sites.map(({ window }) => window);
  const pads = sites.map(({ padding }) => padding);
  const masked = sites.flatMap(({ masks }, i) => (masks.length > 0 ? [i] : []));
  for (const [i, { causal, node }] of sites.entries()) {
    if (!causal && !masked.includes(i)) throw refuse(node, 'all rows see all keys: it is no causal attention');
  }
  if (masked.length === 0) return { windows, padding: pads.some(Boolean) };
  const values = [...new Set(sites.flatMap(({ masks }) => masks.map(({ value }) => value)))];
  const { piece, cacheShapes, cone } = maskPiece(view, all, values, (value, name) =>
    onnxNode('Cast', [value], [name], { attributes: { to: BigInt(DATA_TYPES.float) } }),
  );
  const session = await createOrtSession(
    ort,
    await onnxModelBytes(piece.model),
    'the nodes that make the masks',
    QUIET,
  );
  try {
    const probe = new Evaluation(ort, session, { view, sites: all, inputs, cacheShapes, values });
    const canPad = inputs.mask !== undefined && cone.inputs.has(inputs.mask);
    const hasPast = sites.some(({ past }) => past);
    const texts = view.dims(inputs.tokens)?.[0];
    const batch = typeof texts === 'number' ? texts : 1;
    const probes: MaskProbe[] = [{ batch, tokens: 7, past: 0, padding: 0 }];
    if (hasPast) probes.push({ batch, tokens: 1, past: 7, padding: 0 }, { batch, tokens: 3, past: 5, padding: 0 });
    if (canPad) probes.push({ batch: typeof texts === 'number' ? texts : 2, tokens: 6, past: 0, padding: 2 });
    // A row is tried that is just longer than what may be a window; without a cache, as the last of a text.
    for (const keys of rowLengths(view, cone.nodes)) {
      if (hasPast) probes.push({ batch, tokens: 1, past: keys - 1, padding: 0 });
      else if (keys <= MAX_TEXT) probes.push({ batch, tokens: keys, past: 0, padding: 0, first: keys - 1 });
    }
    for (const each of probes) {
      // Graphs with tables of fixed length do not run beyond them, some not with several tokens after others.
      const mayFail = each.past + each.tokens > 8 || (each.past > 0 && each.tokens > 1);
      const read = await probe.run(each).catch((cause: unknown) => {
        if (mayFail) return undefined;
        const why = cause instanceof Error ? cause.message : String(cause);
        throw refuse(sites[masked[0]!]!.node, `what its mask means is not known, onnxruntime does not make it: ${why}`);
      });
      if (!read) continue;
      const meanings = new Map<string, MaskMeaning>();
      for (const i of masked) {
        const site = sites[i]!;
        // Most layers share their masks.
        const key = JSON.stringify([site.masks, site.causal]);
        const own = () => site.masks.map(({ value, kind }) => ({ ...read.get(value)!, kind }));
        const meaning = meanings.get(key) ?? meaningOf(each, own(), site.causal);
        meanings.set(key, meaning);
        if ('problem' in meaning) throw refuse(site.node, meaning.problem);
        if (meaning.window !== undefined)
          windows[i] = windows[i] ? Math.min(windows[i], meaning.window) : meaning.window;
        if (meaning.padding !== undefined) pads[i] = meaning.padding || pads[i]!;
      }
    }
  } finally {
    await session.release();
  }
  return { windows, padding: pads.some(Boolean) };
}

/** Keys of rows that show a window: longer than integers of the cone, or as long as its tables of rows and keys. */
function rowLengths(view: GraphView, nodes: Iterable<NodeProto>): readonly number[] {
  const lengths = new Set<number>();
  for (const { input, attribute } of nodes) {
    for (const name of input) {
      const size = Math.abs(view.scalar(name) ?? 0);
      if (Number.isInteger(size) && size >= 4 && size <= MAX_WINDOW) lengths.add(size + 3);
      addTable(lengths, view.initializers.get(name)?.dims);
    }
    for (const { t } of attribute) addTable(lengths, t?.dims);
  }
  return [...lengths].toSorted((a, b) => a - b).slice(0, 8);
}

/** A table […, n, n] has rows of n keys. */
function addTable(lengths: Set<number>, dims: readonly bigint[] = []): void {
  const [rows = 0, keys] = dims.slice(-2).map(Number);
  if (rows === keys && rows >= 8 && rows <= MAX_WINDOW) lengths.add(rows);
}

/** What an evaluation is made from. */
interface Evaluated {
  readonly view: GraphView;
  readonly sites: readonly AttentionSite[];
  readonly inputs: DecoderInputs;
  readonly cacheShapes: readonly CacheShape[];
  readonly values: readonly string[];
}

class Evaluation {
  readonly #ort: Ort;
  readonly #session: OrtSession;
  readonly #graph: Evaluated;

  constructor(ort: Ort, session: OrtSession, graph: Evaluated) {
    this.#ort = ort;
    this.#session = session;
    this.#graph = graph;
  }

  /** The masks' values, by the graph's names. */
  async run(probe: MaskProbe): Promise<ReadonlyMap<string, Pick<MaskValues, 'dims' | 'values'>>> {
    const feeds: Record<string, OrtTensor> = {};
    for (const name of this.#session.inputNames) feeds[name] = this.#feed(name, probe);
    const results = await this.#session.run(feeds);
    const read = new Map<string, Pick<MaskValues, 'dims' | 'values'>>();
    for (const [i, value] of this.#graph.values.entries()) {
      const result = results[`hip.mask.${i}`]!;
      const data = (await result.getData()) as Float32Array;
      read.set(value, { dims: result.dims, values: data.slice() });
      result.dispose();
    }
    return read;
  }

  #feed(name: string, { batch, tokens, past, padding }: MaskProbe): OrtTensor {
    const { view, sites, inputs, cacheShapes } = this.#graph;
    const Tensor = tensorClass(this.#ort);
    const shape = cacheShapes.find(({ output }) => output === name);
    if (shape) {
      const site = sites[shape.site]!;
      return cacheShapeOf(Tensor, shape, declaredSizes(view, site, { batch, past, total: past + tokens }));
    }
    const type = ortType(tensorTypeOf(view.inputs.get(name)!)?.elemType ?? 0);
    const total = past + tokens;
    const array = (count: number, at: (index: number) => number) => Array.from({ length: count }, (_, i) => at(i));
    if (name === inputs.mask) {
      const isPadded = (i: number) => Math.floor(i / total) === batch - 1 && i % total < padding;
      return hostTensor(
        Tensor,
        type,
        array(batch * total, (i) => (isPadded(i) ? 0 : 1)),
        [batch, total],
      );
    }
    if (name === inputs.positions)
      return hostTensor(
        Tensor,
        type,
        array(batch * tokens, (i) => past + (i % tokens)),
        [batch, tokens],
      );
    const declared = view.dims(name) ?? [];
    const dims = declared.map((dim, axis) =>
      axis === 0 ? batch : axis === 1 && typeof dim !== 'number' ? tokens : typeof dim === 'number' ? dim : 1,
    );
    return hostTensor(
      Tensor,
      type,
      array(
        dims.reduce((a, b) => a * b, 1),
        () => 0,
      ),
      dims,
    );
  }
}

/** Sizes of a cache as far as the graph declares them. */
export function declaredSizes(
  view: GraphView,
  { past, cacheAxes }: AttentionSite,
  { batch, past: length, total }: { readonly batch: number; readonly past: number; readonly total: number },
): { B: number; H: number; D: number; past: number; total: number } {
  const dims = past ? (view.dims(past.key) ?? []) : [];
  const axes = past?.joined ? [undefined, ...cacheAxes] : cacheAxes;
  const size = (axis: 'H' | 'D') => {
    const dim = dims[axes.indexOf(axis)];
    return typeof dim === 'number' ? dim : 1;
  };
  return { B: batch, H: size('H'), D: size('D'), past: length, total };
}
