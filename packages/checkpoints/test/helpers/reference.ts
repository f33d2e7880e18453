// A causal decoder in plain float64, straight from what ModelConfig says: the oracle of configurations and of weight names.
import { frequenciesFor } from '../../src/families/rope-config.ts';
import type { Activation, ModelConfig } from '../../src/model/config.ts';
import { headGroup, layerFfn, layerHeads, layerRope, layerWindow } from '../../src/model/slots.ts';

type Row = number[];
type Rows = Row[];

const ACTIVATIONS: Partial<Record<Activation, (x: number) => number>> = {
  silu: (x) => x / (1 + Math.exp(-x)),
  'gelu-tanh': (x) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
};

/** Logits [T][vocabulary] of a causal language model. */
export function referenceLogits(
  config: ModelConfig,
  weights: ReadonlyMap<string, Float32Array>,
  ids: ArrayLike<number>,
): Rows {
  const weight = (name: string): Float32Array => {
    const values = weights.get(name);
    if (!values) throw new Error(`no ${name}`);
    return values;
  };
  const table = weight('embeddings.token.weight');
  const positions = weights.get('embeddings.position.weight');
  const d = config.hiddenSize;
  let x: Rows = Array.from(ids, (id, position) =>
    Array.from(
      { length: d },
      (_, i) => table[id * d + i]! * (config.embeddingScale ?? 1) + (positions?.[position * d + i] ?? 0),
    ),
  );
  const norm = (rows: Rows, name: string): Rows => rows.map((row) => normed(config, row, weights, name));
  const linear = (rows: Rows, name: string): Rows =>
    rows.map((row) => product(row, weight(`${name}.weight`), weights.get(`${name}.bias`)));
  const scaled = (rows: Rows): Rows => rows.map((row) => row.map((value) => value * (config.residualScale ?? 1)));
  const add = (a: Rows, b: Rows): Rows => a.map((row, t) => row.map((value, i) => value + b[t]![i]!));
  const { placement } = config.norm;
  const block = (at: string, name: string, inside: (rows: Rows) => Rows) => {
    const out = inside(placement === 'output' ? x : norm(x, `${at}.${name}.norm`));
    const after = placement === 'output' || placement === 'sandwich' ? norm(out, `${at}.${name}.outputNorm`) : out;
    x = add(x, scaled(after));
  };
  const activation = ACTIVATIONS[config.activation];
  if (!activation) throw new Error(`no ${config.activation}`);
  for (let layer = 0; layer < config.layers; layer++) {
    const at = `layers.${layer}`;
    const attention = (rows: Rows): Rows => {
      const [q, k, v] = ['query', 'key', 'value'].map((name) => linear(rows, `${at}.attention.${name}`)) as [
        Rows,
        Rows,
        Rows,
      ];
      return linear(attend(config, layer, weights, q, k, v), `${at}.attention.output`);
    };
    const ffn = (rows: Rows): Rows => {
      const up = linear(rows, `${at}.ffn.up`);
      const inner = config.gated
        ? linear(rows, `${at}.ffn.gate`).map((row, t) => row.map((value, i) => activation(value) * up[t]![i]!))
        : up.map((row) => row.map(activation));
      return linear(inner, `${at}.ffn.down`);
    };
    // Blocks that a layer lacks have no norms either.
    if (layerHeads(config, layer) > 0) block(at, 'attention', attention);
    if (layerFfn(config, layer) > 0) block(at, 'ffn', ffn);
  }
  const last = config.finalNorm ? norm(x, 'norm') : x;
  const head = config.tiedEmbeddings ? turned(table, d) : weight('head.weight');
  return last.map((row) =>
    product(row, head, weights.get('head.bias')).map((logit) =>
      capped(logit * (config.logitScale ?? 1), config.logitSoftcap),
    ),
  );
}

const capped = (value: number, cap: number | undefined) => (cap === undefined ? value : cap * Math.tanh(value / cap));

function attend(
  config: ModelConfig,
  layer: number,
  weights: ReadonlyMap<string, Float32Array>,
  q: Rows,
  k: Rows,
  v: Rows,
): Rows {
  const { headSize: d } = config;
  const at = `layers.${layer}.attention`;
  const heads = layerHeads(config, layer);
  const normedRows = (rows: Rows, name: string): Rows => {
    if (!config.qkNorm) return rows;
    const size = config.qkNormSpan === 'all-heads' ? rows[0]!.length : d;
    return rows.map((row) =>
      Array.from({ length: row.length / size }, (_, h) =>
        normed(config, row.slice(h * size, (h + 1) * size), weights, `${at}.${name}`),
      ).flat(),
    );
  };
  const rotated = (rows: Rows): Rows => rows.map((row, t) => rotate(config, layer, row, t, rows.length));
  const [queries, keys] = [rotated(normedRows(q, 'queryNorm')), rotated(normedRows(k, 'keyNorm'))];
  const window = layerWindow(config, layer);
  return queries.map((query, i) =>
    Array.from({ length: heads }, (_, h) => {
      const kv = Math.floor(h / headGroup(config)) * d;
      const seen = keys.map((_, j) => j).filter((j) => j <= i && (window === 0 || i - j < window));
      const scores = seen.map((j) => {
        let sum = 0;
        for (let c = 0; c < d; c++) sum += query[h * d + c]! * keys[j]![kv + c]!;
        return capped(sum * config.attentionScale, config.attentionSoftcap);
      });
      const most = Math.max(...scores);
      const mass = scores.map((score) => Math.exp(score - most));
      const total = mass.reduce((sum, value) => sum + value, 0);
      return Array.from({ length: d }, (_, c) =>
        seen.reduce((sum, j, n) => sum + (mass[n]! / total) * v[j]![kv + c]!, 0),
      );
    }).flat(),
  );
}

function rotate(config: ModelConfig, layer: number, row: Row, position: number, tokens: number): Row {
  const rope = layerRope(config, layer);
  if (!rope) return row;
  const frequencies = frequenciesFor(rope, tokens);
  const pairs = frequencies.length;
  return row.map((value, c) => {
    const inHead = c % config.headSize;
    if (inHead >= 2 * pairs) return value;
    const angle = position * frequencies[inHead % pairs]!;
    const partner = inHead < pairs ? -row[c + pairs]! : row[c - pairs]!;
    return (value * Math.cos(angle) + partner * Math.sin(angle)) * rope.attentionFactor;
  });
}

function normed(config: ModelConfig, row: Row, weights: ReadonlyMap<string, Float32Array>, name: string): Row {
  const { kind, epsilon, offset = 0 } = config.norm;
  const [weight, bias] = [weights.get(`${name}.weight`), weights.get(`${name}.bias`)];
  if (!weight) throw new Error(`no ${name}`);
  const mean = kind === 'layer' ? row.reduce((sum, value) => sum + value, 0) / row.length : 0;
  const variance = row.reduce((sum, value) => sum + (value - mean) ** 2, 0) / row.length;
  return row.map(
    (value, i) => ((value - mean) / Math.sqrt(variance + epsilon)) * (weight[i]! + offset) + (bias?.[i] ?? 0),
  );
}

/** row [in] · weight [in, out]. */
function product(row: Row, weight: Float32Array, bias: Float32Array | undefined): Row {
  const width = weight.length / row.length;
  const out: Row = Array.from({ length: width }, (_, o) => bias?.[o] ?? 0);
  for (const [i, value] of row.entries()) for (let o = 0; o < width; o++) out[o]! += value * weight[i * width + o]!;
  return out;
}

function turned(table: Float32Array, columns: number): Float32Array {
  const rows = table.length / columns;
  return Float32Array.from(table, (_, at) => table[(at % rows) * columns + Math.floor(at / rows)]!);
}
