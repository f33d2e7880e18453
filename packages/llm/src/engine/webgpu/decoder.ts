// The arithmetic of a decoder as passes of GPU calls, as ModelConfig describes it: nothing here depends on a family's name.
import type { Activation as Named, ModelConfig } from '@hip/checkpoints';
import { tensorBytes, type GpuCall, type GpuContext, type GpuTensor } from '@hip/kernels-webgpu';
import {
  encodeAddScaled,
  encodeEmbed,
  encodeGate,
  encodeGatedLinear,
  encodeLinear,
  encodeNorm,
  encodePadHeads,
  encodeRotate,
  encodeSoftcap,
  SHORT_ROWS,
  type ActivationFunction,
  type GpuLinear,
  type GpuMatrix,
  type InputNorm,
} from '@hip/kernels-webgpu/model';
import { leadingFfns, type LayerShape } from '../layers.ts';
import {
  ffnWeights,
  layerWeights,
  modelWeights,
  type FfnWeights as FfnWeightsOf,
  type LayerWeights as LayerWeightsOf,
  type ModelWeights,
  type NormWeights as NormWeightsOf,
} from '../layer-weights.ts';
import type { Activations } from './activations.ts';
import { cachedHeadDim } from './layers.ts';
import type { GpuVector, WebgpuWeights } from './weights.ts';

type LayerWeights = LayerWeightsOf<GpuMatrix, GpuVector>;
type FfnWeights = FfnWeightsOf<GpuMatrix, GpuVector>;
type NormWeights = NormWeightsOf<GpuVector>;

/** What a layer's attention reads and writes, [rows, heads, headDim] each. */
export interface AttentionTensors {
  readonly q: GpuTensor;
  readonly k: GpuTensor;
  readonly v: GpuTensor;
  readonly out: GpuTensor;
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

export class GpuDecoder {
  readonly #config: ModelConfig;
  readonly #shapes: readonly LayerShape[];
  readonly #layers: readonly LayerWeights[];
  /** Before the first layer with attention. */
  readonly #leading: readonly FfnWeights[];
  readonly #model: ModelWeights<GpuMatrix, GpuVector>;
  /** Kernels write the cache's type themselves. */
  readonly #writesCache: boolean;

  constructor(
    { profile }: GpuContext,
    config: ModelConfig,
    shapes: readonly LayerShape[],
    weights: WebgpuWeights,
    cache: GpuTensor['type'],
  ) {
    this.#config = config;
    this.#shapes = shapes;
    this.#layers = shapes.map((shape) => layerWeights(weights, config, shape));
    this.#leading = leadingFfns(config).map((ffn) => ffnWeights(weights, config, ffn));
    this.#model = modelWeights(weights, config);
    this.#writesCache = cache === 'f32' || profile.shaderF16;
  }

  /** Ids to the residual stream, and through the FFNs before any attention. */
  embed(call: GpuCall, { tensors, ids, positions }: Activations, rows: number): void {
    const { embeddingScale: scale = 1, hiddenSize } = this.#config;
    const { tokens, positions: table, embeddingNorm } = this.#model;
    const { hidden, aside } = tensors;
    encodeEmbed(call, { out: hidden, ids, matrix: tokens }, { rows, scale });
    if (table) {
      encodeEmbed(call, { out: aside, ids: positions, matrix: table }, { rows });
      encodeAddScaled(call, { x: aside, out: hidden }, { length: rows * hiddenSize });
    }
    if (embeddingNorm) this.#norm(call, hidden, embeddingNorm, rows, hiddenSize);
    for (const ffn of this.#leading) this.#feedForward(call, tensors, ffn, rows);
  }

  /** The residual stream to a layer's queries, keys and values. */
  before(call: GpuCall, { tensors, tables }: Activations, layer: number, rows: number): void {
    const shape = this.#shape(layer);
    const { heads, kvHeads, headDim, rope } = shape;
    const { query, key, value, queryNorm, keyNorm, norm } = this.#weights(layer).attention;
    const isTurned = rope !== undefined || queryNorm !== undefined || keyNorm !== undefined;
    const isDirect = this.#writesCache && cachedHeadDim(shape) === headDim;
    const q = isDirect && !isTurned ? tensors.cachedQuery : tensors.query;
    const k = isDirect && !isTurned ? tensors.cachedKey : tensors.key;
    const v = isDirect ? tensors.cachedValue : tensors.value;
    const targets = [
      { ...linear(query), out: q },
      { ...linear(key), out: k },
      { ...linear(value), out: v },
    ];
    encodeLinear(call, { x: tensors.hidden, targets, rows, norm: this.#input(norm) }, { label: 'qkv' });
    if (isTurned) {
      const table = rope && tables.get(rope);
      const fused = (own: NormWeights | undefined, count: number, x: GpuTensor) =>
        this.#headNorm(call, own, { x, count, rows, headDim });
      const sets = [
        { x: q, count: heads, norm: fused(queryNorm, heads, q), ...(isDirect && { out: tensors.cachedQuery }) },
        { x: k, count: kvHeads, norm: fused(keyNorm, kvHeads, k), ...(isDirect && { out: tensors.cachedKey }) },
      ];
      if (table || isDirect || sets.some((set) => set.norm)) {
        const rotaryDim = rope && 2 * rope.inverseFrequencies.length;
        encodeRotate(call, { heads: sets, tables: table }, { rows, headDim, rotaryDim });
      }
    }
    if (isDirect) return;
    const pad = (x: GpuTensor, out: GpuTensor, count: number): void =>
      encodePadHeads(call, { x, out }, { heads: rows * count, fromWidth: headDim, toWidth: cachedHeadDim(shape) });
    pad(q, tensors.cachedQuery, heads);
    pad(k, tensors.cachedKey, kvHeads);
    pad(v, tensors.cachedValue, kvHeads);
  }

  /** What lies between {@link before} and {@link after}. */
  attention({ tensors }: Activations, layer: number, rows: number): AttentionTensors {
    const shape = this.#shape(layer);
    const dim = cachedHeadDim(shape);
    const of = (tensor: GpuTensor, count: number): GpuTensor => ({ ...tensor, length: rows * count * dim });
    return {
      q: of(tensors.cachedQuery, shape.heads),
      k: of(tensors.cachedKey, shape.kvHeads),
      v: of(tensors.cachedValue, shape.kvHeads),
      out: of(tensors.attended, shape.heads),
    };
  }

  /** The attention's output, and the FFNs behind it, into the residual stream. */
  after(call: GpuCall, { tensors }: Activations, layer: number, rows: number): void {
    const shape = this.#shape(layer);
    const { attention, ffns } = this.#weights(layer);
    const dim = cachedHeadDim(shape);
    let attended = tensors.attended;
    if (dim !== shape.headDim) {
      attended = tensors.query;
      const widths = { heads: rows * shape.heads, fromWidth: dim, toWidth: shape.headDim };
      encodePadHeads(call, { x: tensors.attended, out: attended }, widths);
    }
    this.#output(call, tensors, attended, attention.output, attention.outputNorm, rows, 'output');
    for (const ffn of ffns) this.#feedForward(call, tensors, ffn, rows);
  }

  #feedForward(call: GpuCall, tensors: Activations['tensors'], ffn: FfnWeights, rows: number): void {
    const { hidden } = tensors;
    const { gate, up, units } = ffn;
    const inner = innerOf(tensors, rows, units);
    const norm = this.#input(ffn.norm);
    const activation = FUNCTIONS[this.#config.activation];
    if (gate) {
      const inputs = { x: hidden, gate: linear(gate), up: linear(up), activation, out: inner, rows, norm };
      encodeGatedLinear(call, inputs, { label: 'gate-up' });
    } else {
      encodeLinear(call, { x: hidden, targets: [{ ...linear(up), out: inner }], rows, norm }, { label: 'up' });
      encodeGate(call, { x: inner, out: inner }, { length: rows * units, activation });
    }
    this.#output(call, tensors, inner, ffn.down, ffn.outputNorm, rows, 'down');
  }

  /** Logits [rows, vocabulary] of rows of hidden states. */
  head(call: GpuCall, x: GpuTensor, logits: GpuTensor, rows: number): void {
    const { logitScale: scale = 1, logitSoftcap: cap, vocabSize } = this.#config;
    const { norm, head } = this.#model;
    const targets = [{ ...linear(head), out: logits, scale }];
    encodeLinear(call, { x, targets, rows, norm: this.#input(norm) }, { label: 'head' });
    if (cap !== undefined) encodeSoftcap(call, logits, { length: rows * vocabSize, cap });
  }

  /** Copies rows [from, from + rows) of the residual stream to where {@link head} takes them. */
  take(call: GpuCall, { tensors }: Activations, from: number, rows: number): void {
    const bytes = tensorBytes('f32', this.#config.hiddenSize);
    call.copy(tensors.hidden.buffer, from * bytes, tensors.last.buffer, 0, rows * bytes);
  }

  get #rms(): boolean {
    return this.#config.norm.kind === 'rms';
  }

  #shape(layer: number): LayerShape {
    return this.#shapes[layer] as LayerShape;
  }

  #weights(layer: number): LayerWeights {
    return this.#layers[layer] as LayerWeights;
  }

  #input(norm: NormWeights | undefined): InputNorm | undefined {
    const { kind, epsilon } = this.#config.norm;
    return norm && { kind, epsilon, weight: norm.weight, ...(kind === 'layer' && norm.bias && { bias: norm.bias }) };
  }

  /** A norm of heads that the rotation does on its way; others are passes of their own. */
  #headNorm(
    call: GpuCall,
    norm: NormWeights | undefined,
    {
      x,
      count,
      rows,
      headDim,
    }: { readonly x: GpuTensor; readonly count: number; readonly rows: number; readonly headDim: number },
  ) {
    if (!norm) return undefined;
    const isWhole = this.#config.qkNormSpan === 'all-heads';
    if (this.#rms && !isWhole) return { weight: norm.weight, epsilon: this.#config.norm.epsilon };
    if (isWhole) this.#norm(call, x, norm, rows, count * headDim);
    else this.#norm(call, x, norm, rows * count, headDim);
    return undefined;
  }

  /** A block's last product, and its sum with the residual stream. */
  #output(
    call: GpuCall,
    { hidden, aside }: Activations['tensors'],
    x: GpuTensor,
    weights: { readonly matrix: GpuMatrix; readonly bias: GpuVector | undefined },
    norm: NormWeights | undefined,
    rows: number,
    label: string,
  ): void {
    const { residualScale: scale = 1, hiddenSize } = this.#config;
    if (!norm) {
      encodeLinear(call, { x, targets: [{ ...linear(weights), out: hidden, add: true, scale }], rows }, { label });
      return;
    }
    encodeLinear(call, { x, targets: [{ ...linear(weights), out: aside }], rows }, { label });
    const own = { ...this.#input(norm)!, rows, width: hiddenSize };
    encodeNorm(call, { x: aside, out: hidden }, own, { add: true, scale, label: 'output-norm' });
  }

  #norm(call: GpuCall, x: GpuTensor, norm: NormWeights, rows: number, width: number): void {
    encodeNorm(call, { x, out: x }, { ...this.#input(norm)!, rows, width });
  }
}

/** The FFN's units of so many rows, as precise as they are multiplied. */
function innerOf({ inner }: Activations['tensors'], rows: number, ffn: number): GpuTensor {
  const length = rows * ffn;
  return rows <= SHORT_ROWS ? { ...inner, type: 'f32', length } : { ...inner, length };
}

function linear({ matrix, bias }: { readonly matrix: GpuMatrix; readonly bias: GpuVector | undefined }): GpuLinear {
  return bias ? { matrix, bias } : { matrix };
}
