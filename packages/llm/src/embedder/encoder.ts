// An encoder's arithmetic on WebAssembly: rows of packed texts through embeddings, attention within each text, and feed-forward.
import type { ModelConfig } from '@hip/checkpoints';
import type { Activation, ActivationFunction, CpuRuntime, StoredMatrix } from '@hip/kernels-cpu';
import {
  layerWeights,
  type FfnWeights,
  type LayerWeights,
  type LinearWeights,
  type NormWeights,
} from '../engine/layer-weights.ts';
import { layerShapes, type LayerShape } from '../engine/layers.ts';
import type { WasmWeights } from '../engine/wasm/weights.ts';
import type { Pack } from './packs.ts';

const FUNCTIONS = {
  silu: 'silu',
  gelu: 'gelu',
  'gelu-tanh': 'gelu-tanh',
  'quick-gelu': 'gelu-quick',
  relu: 'relu',
  tanh: 'tanh',
} as const satisfies Record<ModelConfig['activation'], ActivationFunction>;

type Norm = NormWeights<Activation>;
type Linear = LinearWeights<StoredMatrix, Activation>;

export class Encoder implements Disposable {
  /** Most tokens of a pass. */
  readonly rows: number;
  readonly #cpu: CpuRuntime;
  readonly #config: ModelConfig;
  readonly #shapes: readonly LayerShape[];
  readonly #layers: readonly LayerWeights<StoredMatrix, Activation>[];
  readonly #weights: WasmWeights;
  readonly #buffers: Record<'hidden' | 'added' | 'query' | 'key' | 'value' | 'inner', Activation>;

  /** @throws HipError `out-of-memory`; the runtime is then to be closed */
  constructor(cpu: CpuRuntime, config: ModelConfig, weights: WasmWeights, rows: number) {
    this.rows = rows;
    this.#cpu = cpu;
    this.#config = config;
    this.#weights = weights;
    this.#shapes = layerShapes(config);
    this.#layers = this.#shapes.map((shape) => layerWeights(weights, config, shape));
    const widest = (of: (shape: LayerShape) => number) => rows * Math.max(...this.#shapes.map(of));
    const buffer = (length: number) => cpu.createActivation(length);
    this.#buffers = {
      hidden: buffer(rows * config.hiddenSize),
      added: buffer(rows * config.hiddenSize),
      query: buffer(widest(({ heads, headDim }) => heads * headDim)),
      key: buffer(widest(({ kvHeads, headDim }) => kvHeads * headDim)),
      value: buffer(widest(({ kvHeads, headDim }) => kvHeads * headDim)),
      inner: buffer(widest(({ ffn }) => ffn)),
    };
  }

  /** The last layer's hidden states [rows, hidden] of the pass that ran last. Ask anew after other calls. */
  get hidden(): Float32Array {
    return this.#buffers.hidden.view;
  }

  /**
   * Passes texts through all layers. Yields between slices of work, where the caller may stop.
   *
   * @param ids - of the pack's texts, one behind the other
   */
  *run(ids: readonly number[], pack: Pack): Generator<void, void, void> {
    this.#embed(ids, pack);
    for (const [index, shape] of this.#shapes.entries()) {
      const layer = this.#layers[index] as LayerWeights<StoredMatrix, Activation>;
      yield* this.#attention(shape, layer, pack);
      yield;
      for (const ffn of layer.ffns) {
        yield* this.#feedForward(ffn, pack.rows);
        yield;
      }
    }
  }

  [Symbol.dispose](): void {
    for (const buffer of Object.values(this.#buffers)) buffer.dispose();
  }

  #embed(ids: readonly number[], { rows, runs }: Pack): void {
    const { embeddingScale: scale = 1, hiddenSize, positionRows, positionOffset, typeVocabSize } = this.#config;
    const { hidden, added } = this.#buffers;
    const length = rows * hiddenSize;
    this.#cpu.embed(hidden, this.#weights.matrix('embeddings.token.weight'), ids, { scale });
    if (positionRows > 0) {
      const positions: number[] = [];
      for (const { texts, tokens } of runs) {
        for (let text = 0; text < texts; text++) {
          for (let at = 0; at < tokens; at++) positions.push(positionOffset + at);
        }
      }
      this.#cpu.embed(added, this.#weights.matrix('embeddings.position.weight'), positions);
      this.#cpu.addScaled(hidden, added, { length });
    }
    if (typeVocabSize > 0) {
      this.#cpu.embed(added, this.#weights.matrix('embeddings.type.weight'), new Int32Array(rows));
      this.#cpu.addScaled(hidden, added, { length });
    }
    const weight = this.#weights.vector('embeddings.norm.weight');
    if (weight) this.#norm({ weight, bias: this.#weights.vector('embeddings.norm.bias') }, rows);
  }

  *#attention(shape: LayerShape, { attention }: LayerWeights<StoredMatrix, Activation>, { rows, runs }: Pack) {
    const { hidden, query, key, value } = this.#buffers;
    const { heads, kvHeads, headDim } = shape;
    const target = (out: Activation, { matrix, bias }: Linear) => ({ out, matrix, bias });
    const targets = [target(query, attention.query), target(key, attention.key), target(value, attention.value)];
    this.#cpu.linears(hidden, targets, { rows });
    yield;
    const held = ({ view }: Activation, count: number) => view.slice(0, rows * count * headDim);
    const [q, k, v] = [held(query, heads), held(key, kvHeads), held(value, kvHeads)];
    const [width, kvWidth] = [heads * headDim, kvHeads * headDim];
    const out = new Float32Array(q.length);
    let row = 0;
    for (const { texts, tokens } of runs) {
      const end = row + texts * tokens;
      this.#cpu.denseAttention(
        q.subarray(row * width, end * width),
        k.subarray(row * kvWidth, end * kvWidth),
        v.subarray(row * kvWidth, end * kvWidth),
        { batch: texts, queries: tokens, keys: tokens, heads, kvHeads, headDim },
        { causal: false, scale: this.#config.attentionScale, out: out.subarray(row * width, end * width) },
      );
      row = end;
      yield;
    }
    this.#buffers.query.view.set(out);
    this.#output(query, attention.output, attention.norm, rows);
  }

  *#feedForward(block: FfnWeights<StoredMatrix, Activation>, rows: number) {
    const { hidden, inner } = this.#buffers;
    this.#cpu.linear(inner, hidden, block.up.matrix, { rows, bias: block.up.bias });
    yield;
    this.#cpu.gate(inner, inner, undefined, {
      length: rows * block.units,
      activation: FUNCTIONS[this.#config.activation],
    });
    this.#output(inner, block.down, block.norm, rows);
  }

  /** A block's last product, its sum with the residual stream, and the norm of that. */
  #output(x: Activation, { matrix, bias }: Linear, norm: Norm | undefined, rows: number): void {
    this.#cpu.linear(this.#buffers.hidden, x, matrix, { rows, bias, add: true });
    if (norm) this.#norm(norm, rows);
  }

  #norm({ weight, bias }: Norm, rows: number): void {
    const { hidden } = this.#buffers;
    const { epsilon } = this.#config.norm;
    this.#cpu.layerNorm(hidden, hidden, weight, bias, { rows, width: this.#config.hiddenSize, epsilon });
  }
}
