// The arithmetic of a decoder, layer by layer, as ModelConfig describes it: nothing here depends on a family's name.
import type { ModelConfig, Activation as Named } from '@hip/checkpoints';
import type { Activation, ActivationFunction, CpuRuntime, LinearTarget, StoredMatrix } from '@hip/kernels-cpu';
import type { LayerCache } from './layer-cache.ts';
import { leadingFfns, type CallPlace, type LayerShape } from '../layers.ts';
import {
  ffnWeights,
  layerWeights,
  modelWeights,
  type FfnWeights as FfnWeightsOf,
  type LayerWeights as LayerWeightsOf,
  type LinearWeights as LinearWeightsOf,
  type ModelWeights,
  type NormWeights as NormWeightsOf,
} from '../layer-weights.ts';
import { fillRotation } from '../rotation.ts';
import type { Scratch } from './scratch.ts';
import type { WasmWeights } from './weights.ts';

type LayerWeights = LayerWeightsOf<StoredMatrix, Activation>;
type FfnWeights = FfnWeightsOf<StoredMatrix, Activation>;
type LinearWeights = LinearWeightsOf<StoredMatrix, Activation>;
type NormWeights = NormWeightsOf<Activation>;

/** Tokens that pass through the layers together. */
export interface Run {
  readonly ids: ArrayLike<number>;
  /** Position of the first. */
  readonly first: number;
  /** Tokens of the sequence when the call that these are a part of has ended. */
  readonly total: number;
  readonly caches: readonly LayerCache[];
  /** Each token gives, bit for bit, what a run of it alone gives. @defaultValue false */
  readonly apart?: boolean | undefined;
  /** @defaultValue they are all of their call */
  readonly place?: CallPlace | undefined;
}

/** The kernels' names of activation functions. */
const FUNCTIONS: Readonly<Record<Named, ActivationFunction>> = {
  silu: 'silu',
  gelu: 'gelu',
  'gelu-tanh': 'gelu-tanh',
  'quick-gelu': 'gelu-quick',
  relu: 'relu',
  tanh: 'tanh',
};

export class Decoder {
  readonly #cpu: CpuRuntime;
  readonly #config: ModelConfig;
  readonly #shapes: readonly LayerShape[];
  readonly #layers: readonly LayerWeights[];
  /** Before the first layer with attention. */
  readonly #leading: readonly FfnWeights[];
  readonly #model: ModelWeights<StoredMatrix, Activation>;
  readonly #scratch: Scratch;
  /** Of the run that was made last. */
  #apart = false;
  #place: CallPlace | undefined;

  constructor(
    cpu: CpuRuntime,
    config: ModelConfig,
    shapes: readonly LayerShape[],
    weights: WasmWeights,
    scratch: Scratch,
  ) {
    this.#cpu = cpu;
    this.#config = config;
    this.#shapes = shapes;
    this.#layers = shapes.map((shape) => layerWeights(weights, config, shape));
    this.#leading = leadingFfns(config).map((ffn) => ffnWeights(weights, config, ffn));
    this.#model = modelWeights(weights, config);
    this.#scratch = scratch;
  }

  /** Runs a kernel, so that what kernels keep between calls is allocated from here on. */
  prepare(): void {
    this.#cpu.embed(this.#scratch.get('hidden'), this.#model.tokens, [0]);
  }

  /** Most tokens of a {@link Run}. */
  get rows(): number {
    return this.#scratch.rows;
  }

  /**
   * Passes tokens through all layers; the hidden states before the last norm stay in memory for {@link logits}. Yields between slices of
   * work, where the caller may stop: keys and values of layers that ran are then appended already.
   */
  *run({ ids, first, total, caches, apart = false, place }: Run): Generator<void, void, void> {
    this.#apart = apart;
    this.#place = place;
    const rows = ids.length;
    this.#embed(ids, first);
    for (const [rope, { cos, sin }] of this.#scratch.tables)
      fillRotation(rope, { first, rows, total }, cos.view, sin.view);
    yield* this.#feedForwards(this.#leading, rows);
    for (const [index, shape] of this.#shapes.entries()) {
      const layer = this.#layers[index] as LayerWeights;
      yield* this.#attention(shape, layer, rows, caches[index] as LayerCache);
      yield;
      yield* this.#feedForwards(layer.ffns, rows);
    }
  }

  *#feedForwards(ffns: readonly FfnWeights[], rows: number) {
    for (const ffn of ffns) {
      yield* this.#feedForward(ffn, rows);
      yield;
    }
  }

  /** The first of the last run's rows [from, to) whose hidden state is not finite, or −1. */
  nonFiniteRow(from: number, to: number): number {
    const { hiddenSize } = this.#config;
    const values = this.#scratch.get('hidden').view;
    for (let at = from * hiddenSize; at < to * hiddenSize; at++) {
      if (!Number.isFinite(values[at])) return Math.floor(at / hiddenSize);
    }
    return -1;
  }

  /**
   * Logits of rows [from, from + rows) of the last run, at most LOGIT_ROWS.
   *
   * @returns a view [rows, vocabulary] that the next call overwrites
   */
  logits(from: number, rows: number): Float32Array {
    const { hiddenSize, logitScale = 1, logitSoftcap, vocabSize } = this.#config;
    const { norm, head } = this.#model;
    const hidden = this.#scratch.get('hidden').slice(from * hiddenSize, rows * hiddenSize);
    const normed = this.#scratch.get('normed');
    const out = this.#scratch.get('logits');
    const length = rows * vocabSize;
    if (norm) this.#norm(normed, hidden, norm, rows, hiddenSize);
    this.#cpu.linear(out, norm ? normed : hidden, head.matrix, { rows, bias: head.bias, apart: this.#apart });
    if (logitScale !== 1) this.#cpu.scale(out, { length, factor: logitScale });
    if (logitSoftcap !== undefined) this.#cpu.softcap(out, { length, cap: logitSoftcap });
    return out.view.subarray(0, length);
  }

  #embed(ids: ArrayLike<number>, first: number): void {
    const { embeddingScale: scale = 1, positionOffset, hiddenSize } = this.#config;
    const { tokens, positions, embeddingNorm } = this.#model;
    const hidden = this.#scratch.get('hidden');
    const rows = ids.length;
    this.#cpu.embed(hidden, tokens, ids, { scale });
    if (positions) {
      const added = this.#scratch.get('normed');
      const at = Int32Array.from(ids, (_, row) => first + row + positionOffset);
      this.#cpu.embed(added, positions, at);
      this.#cpu.addScaled(hidden, added, { length: rows * hiddenSize });
    }
    if (embeddingNorm) this.#norm(hidden, hidden, embeddingNorm, rows, hiddenSize);
  }

  *#attention(shape: LayerShape, { attention }: LayerWeights, rows: number, cache: LayerCache) {
    const { heads, kvHeads, headDim } = shape;
    const { query, key, value, queryNorm, keyNorm, norm, output, outputNorm } = attention;
    const [q, k, v] = [this.#scratch.get('query'), this.#scratch.get('key'), this.#scratch.get('value')];
    const x = this.#input(norm, rows);
    this.#cpu.linears(x, [target(q, query), target(k, key), target(v, value)], { rows, apart: this.#apart });
    yield;
    if (queryNorm) this.#headNorm(q, queryNorm, rows, heads, headDim);
    if (keyNorm) this.#headNorm(k, keyNorm, rows, kvHeads, headDim);
    this.#rotate(shape, q, k, rows);
    // The cache takes arrays of the host: memory may grow while it appends.
    const held = ({ view }: Activation, count: number) => view.slice(0, rows * count * headDim);
    const rowsOf = [held(q, heads), held(k, kvHeads), held(v, kvHeads)] as const;
    q.view.set(this.#apart ? cache.steps(...rowsOf) : cache.step(...rowsOf, this.#place));
    yield;
    this.#output(q, output, outputNorm, rows);
  }

  *#feedForward({ units, norm, gate, up, down, outputNorm }: FfnWeights, rows: number) {
    const x = this.#input(norm, rows);
    const inner = this.#scratch.get('up');
    const factor = gate && this.#scratch.get('gate');
    const targets = [target(inner, up), ...(gate && factor ? [target(factor, gate)] : [])];
    this.#cpu.linears(x, targets, { rows, apart: this.#apart });
    yield;
    const activation = FUNCTIONS[this.#config.activation];
    // Where a row ends inside a vector, rows together would be cut into other vectors than each alone.
    const [count, length] = this.#apart ? [rows, units] : [1, rows * units];
    for (let row = 0; row < count; row++) {
      const own = inner.slice(row * length, length);
      this.#cpu.gate(own, factor?.slice(row * length, length) ?? own, factor && own, { length, activation });
    }
    this.#output(inner, down, outputNorm, rows);
  }

  #rotate({ rope, heads, kvHeads, headDim }: LayerShape, q: Activation, k: Activation, rows: number): void {
    const tables = rope && this.#scratch.tables.get(rope);
    if (!tables) return;
    const shared = { rows, headDim, rotaryDim: 2 * rope.inverseFrequencies.length, ...tables };
    this.#cpu.rotate(q, { ...shared, heads });
    this.#cpu.rotate(k, { ...shared, heads: kvHeads });
  }

  /** What a block reads: the residual stream, normed where the model norms before it. */
  #input(norm: NormWeights | undefined, rows: number): Activation {
    const hidden = this.#scratch.get('hidden');
    if (!norm) return hidden;
    const normed = this.#scratch.get('normed');
    this.#norm(normed, hidden, norm, rows, this.#config.hiddenSize);
    return normed;
  }

  /** A block's last product, and its sum with the residual stream. */
  #output(x: Activation, { matrix, bias }: LinearWeights, norm: NormWeights | undefined, rows: number): void {
    const { residualScale: scale = 1, hiddenSize } = this.#config;
    const hidden = this.#scratch.get('hidden');
    if (!norm && scale === 1) {
      this.#cpu.linear(hidden, x, matrix, { rows, bias, add: true, apart: this.#apart });
      return;
    }
    const out = this.#scratch.get('normed');
    this.#cpu.linear(out, x, matrix, { rows, bias, apart: this.#apart });
    if (norm) this.#norm(out, out, norm, rows, hiddenSize);
    this.#cpu.addScaled(hidden, out, { length: rows * hiddenSize, scale });
  }

  /** Of each head, or of all of a row's together. */
  #headNorm(x: Activation, norm: NormWeights, rows: number, heads: number, headDim: number): void {
    if (this.#config.qkNormSpan === 'all-heads') this.#norm(x, x, norm, rows, heads * headDim);
    else this.#norm(x, x, norm, rows * heads, headDim);
  }

  #norm(out: Activation, x: Activation, { weight, bias }: NormWeights, rows: number, width: number): void {
    const { kind, epsilon } = this.#config.norm;
    const options = { rows, width, epsilon };
    if (kind === 'rms') this.#cpu.rmsNorm(out, x, weight, options);
    else this.#cpu.layerNorm(out, x, weight, bias, options);
  }
}

function target(out: Activation, { matrix, bias }: LinearWeights): LinearTarget {
  return { out, matrix, bias };
}
