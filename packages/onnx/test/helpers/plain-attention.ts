// Attention of plain operators, and a causal mask, in a graph that is being built.
import { CHANNELS, HEADS, KV_HEADS, type AttentionOf, type GraphBuilder } from './tiny-graph.ts';

/** [B, S, heads · channels] to [B, heads, S, channels]; keys and values joined to the cache, heads repeated. */
export function plainParts(graph: GraphBuilder, layer: number, castsCache = false) {
  const split = (value: string, heads: number) => {
    const shape = graph.ints(`${value}.shape`, [0, 0, heads, CHANNELS]);
    return graph.add('Transpose', [graph.add('Reshape', [value, shape], `${value}.4`)], `${value}.t`, {
      perm: [0n, 2n, 1n, 3n],
    });
  };
  const joined = (part: string, axis: bigint, added: string) => {
    const present = `present.${layer}.${part}`;
    const inputs = [`past_key_values.${layer}.${part}`, added];
    if (!castsCache) return graph.add('Concat', inputs, present, { axis });
    return graph.add('Cast', [graph.add('Concat', inputs, `${present}.uncast`, { axis })], present, { to: 1n });
  };
  return { split, joined };
}

/** Rows see keys up to their own by a table of ones [64, 64], of which the last `window` are left. */
export function tableMask(graph: GraphBuilder, window: number): void {
  causalMask(graph);
  const sees = Array.from({ length: 64 * 64 }, (_, i) =>
    i % 64 <= Math.floor(i / 64) && i % 64 > Math.floor(i / 64) - window ? 0 : -10_000,
  );
  graph.floats('table of rows', [64, 64], sees);
  const [before, columns] = ['before', 'columns'].map((each) =>
    graph.add('Unsqueeze', [each, graph.ints(`${each}.a`, [0])], `${each}.1`),
  ) as [string, string];
  const axes = [graph.ints('rows axis', [0]), graph.ints('keys axis', [1])] as const;
  const rows = graph.add('Slice', ['table of rows', before, columns, axes[0]], 'rows of it');
  graph.add('Slice', [rows, graph.ints('first', [0]), columns, axes[1]], 'near');
  for (const node of graph.nodes) if (node.output[0] === 'mask') node.output = ['earlier'];
  graph.add('Add', ['earlier', 'near'], 'mask');
}

/** Rows see keys up to their own, the last `window` of them, by a mask of −10000 and 0 [S, total]. */
export function causalMask(graph: GraphBuilder, window?: number): void {
  graph.ints('zero', [0], []);
  graph.ints('axis1', [1], []);
  graph.ints('one.s', [1], []);
  graph.add('Shape', ['input_ids'], 'ids.shape');
  graph.add('Gather', ['ids.shape', 'axis1'], 'rows');
  graph.add('Shape', ['attention_mask'], 'am.shape');
  graph.add('Gather', ['am.shape', 'axis1'], 'columns');
  graph.add('Sub', ['columns', 'rows'], 'before');
  graph.add('Range', ['before', 'columns', 'one.s'], 'row.positions');
  graph.add('Range', ['zero', 'columns', 'one.s'], 'key.positions');
  graph.ints('unsqueeze', [1]);
  graph.add('Unsqueeze', ['row.positions', 'unsqueeze'], 'row.column');
  graph.add('LessOrEqual', ['key.positions', 'row.column'], window ? 'sees.earlier' : 'sees');
  if (window) {
    graph.add('Sub', ['row.column', graph.ints('window', [window], [])], 'out of sight');
    graph.add('Greater', ['key.positions', 'out of sight'], 'sees.near');
    graph.add('And', ['sees.earlier', 'sees.near'], 'sees');
  }
  graph.floats('none', [], [0]);
  graph.floats('hide', [], [-10_000]);
  graph.add('Where', ['sees', 'none', 'hide'], 'mask');
}

export interface PlainOptions {
  readonly softcap?: number;
  readonly sinks?: boolean;
  readonly divides?: boolean;
  /** The cache goes out through a cast, and keys are transposed as three axes. */
  readonly castsCache?: boolean;
  /** The mask is added before the scale. */
  readonly masksFirst?: boolean;
  /** A reshape of the scores stands before the softmax. */
  readonly reshapes?: boolean;
}

/** The last two of four axes exchanged, the first two being one meanwhile: torch's exporter does so. */
function flattened(graph: GraphBuilder, value: string): string {
  const name = (what: string) => `${value}.${what}`;
  const minus = graph.ints(name('m'), [-1]);
  const [start, end] = [graph.ints(name('b'), [2]), graph.ints(name('e'), [4])];
  const last = graph.add('Slice', [graph.add('Shape', [value], name('shape')), start, end], name('last'));
  const [rows, channels] = [0, 1].map((at) =>
    graph.add('Gather', [last, graph.ints(name(`i${at}`), [at])], name(`s${at}`)),
  );
  const sizes = graph.add('Concat', [minus, rows!, channels!], name('flat shape'), { axis: 0n });
  const flat = graph.add('Reshape', [value, sizes], name('rows'));
  const turned = graph.add('Transpose', [flat], name('turned'), { perm: [0n, 2n, 1n] });
  return graph.add('Reshape', [turned, graph.ints(name('parted'), [1, HEADS, CHANNELS, -1])], name('kt'));
}

/** Attention as plain operators. */
export function plain({ softcap, sinks, divides, castsCache, masksFirst, reshapes }: PlainOptions): AttentionOf {
  return (graph, layer, q, k, v) => {
    const { split, joined } = plainParts(graph, layer, castsCache);
    const name = (what: string) => `${what}.${layer}`;
    const queries = split(q, HEADS);
    let keys = split(k, KV_HEADS);
    let values = joined('value', 2n, split(v, KV_HEADS));
    keys = joined('key', 2n, keys);
    const repeated = (value: string) => {
      const [axes, times, shape] = [
        graph.ints(`${value}.a`, [2]),
        graph.ints(`${value}.x`, [1, 1, HEADS / KV_HEADS, 1, 1]),
        graph.ints(`${value}.r`, [0, HEADS, -1, CHANNELS]),
      ];
      const wide = graph.add('Expand', [graph.add('Unsqueeze', [value, axes], `${value}.u`), times], `${value}.e`);
      return graph.add('Reshape', [wide, shape], `${value}.rep`);
    };
    keys = repeated(keys);
    values = repeated(values);
    const transposed = castsCache
      ? flattened(graph, keys)
      : graph.add('Transpose', [keys], name('kt'), { perm: [0n, 1n, 3n, 2n] });
    let scores = graph.add('MatMul', [queries, transposed], name('scores'));
    if (masksFirst) scores = graph.add('Add', [scores, 'mask'], name('masked'));
    scores = divides
      ? graph.add('Div', [scores, graph.floats(name('root'), [], [4])], name('scaled'))
      : graph.add('Mul', [scores, graph.floats(name('scale'), [1], [0.3])], name('scaled'));
    if (softcap) {
      const cap = graph.floats(name('cap'), [], [softcap]);
      scores = graph.add(
        'Mul',
        [graph.add('Tanh', [graph.add('Div', [scores, cap], name('over'))], name('tanh')), cap],
        name('capped'),
      );
    }
    if (!masksFirst) scores = graph.add('Add', [scores, 'mask'], name('masked'));
    if (reshapes) scores = graph.add('Reshape', [scores, graph.ints(name('same'), [0, 0, 0, 0])], name('reshaped'));
    if (sinks) {
      const logits = graph.weight(name('sinks'), [1, HEADS, 1, 1], 2);
      const [shape, ends] = [graph.add('Shape', [queries], name('qs')), graph.ints(name('three'), [3])];
      const front = graph.add('Slice', [shape, graph.ints(name('s0'), [0]), ends], name('front'));
      const target = graph.add('Concat', [front, graph.ints(name('s1'), [1])], name('target'), { axis: 0n });
      const wide = graph.add('Expand', [logits, target], name('wide'));
      scores = graph.add('Concat', [scores, wide], name('with sinks'), { axis: -1n });
    }
    let shares = graph.add('Softmax', [scores], name('shares'), { axis: -1n });
    if (sinks) {
      const [start, end, axis] = [graph.ints(name('b'), [0]), graph.ints(name('c'), [-1]), graph.ints(name('d'), [3])];
      shares = graph.add('Slice', [shares, start, end, axis], name('without sinks'));
    }
    const context = graph.add('MatMul', [shares, values], name('context'));
    const back = graph.add('Transpose', [context], name('back'), { perm: [0n, 2n, 1n, 3n] });
    return graph.add('Reshape', [back, graph.ints(name('flat'), [0, 0, -1])], name('attended'));
  };
}
