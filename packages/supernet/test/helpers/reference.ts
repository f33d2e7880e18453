// A second, naive implementation in float64 loops over the checkpoint's own tensor names: an oracle for families without goldens.
import type { TensorToWrite } from '@hip/checkpoints';

export type Rows = number[][];

/** Tensors of a random checkpoint by Hugging Face name. */
export class Tensors {
  readonly list: TensorToWrite[] = [];
  #state: number;

  constructor(seed: number) {
    this.#state = seed;
  }

  /** Adds a tensor with values of spread `scale` around `centre`. */
  add(name: string, shape: readonly number[], scale = 0.2, centre = 0): void {
    const size = shape.reduce((count, extent) => count * extent, 1);
    const data = Float32Array.from({ length: size }, () => centre + scale * (this.random() + this.random() - 1) * 2);
    this.list.push({ name, shape, data });
  }

  linear(name: string, inputs: number, outputs: number, bias = true): void {
    this.add(`${name}.weight`, [outputs, inputs], 1 / Math.sqrt(inputs));
    if (bias) this.add(`${name}.bias`, [outputs]);
  }

  norm(name: string, size: number, bias = true): void {
    this.add(`${name}.weight`, [size], 0.2, 1);
    if (bias) this.add(`${name}.bias`, [size]);
  }

  random(): number {
    return (this.#state = (this.#state * 48271) % 2147483647) / 2147483647;
  }

  get(name: string): Float32Array {
    const found = this.list.find((tensor) => tensor.name === name);
    if (!found) throw new Error(`reference: no tensor ${name}`);
    return found.data as Float32Array;
  }

  has(name: string): boolean {
    return this.list.some((tensor) => tensor.name === name);
  }

  /** y = x·Wᵀ + b with W [out, in]. */
  apply(name: string, x: Rows): Rows {
    const weight = this.get(`${name}.weight`);
    const bias = this.has(`${name}.bias`) ? this.get(`${name}.bias`) : undefined;
    const inputs = x[0]!.length;
    const outputs = weight.length / inputs;
    return x.map((row) =>
      Array.from({ length: outputs }, (_, o) =>
        row.reduce((sum, value, i) => sum + value * weight[o * inputs + i]!, bias?.[o] ?? 0),
      ),
    );
  }

  layerNorm(name: string, x: Rows, epsilon: number): Rows {
    const [weight, bias] = [this.get(`${name}.weight`), this.get(`${name}.bias`)];
    return x.map((row) => {
      const mean = row.reduce((sum, value) => sum + value, 0) / row.length;
      const variance = row.reduce((sum, value) => sum + (value - mean) ** 2, 0) / row.length;
      return row.map((value, i) => ((value - mean) / Math.sqrt(variance + epsilon)) * weight[i]! + bias[i]!);
    });
  }

  rmsNorm(name: string, x: Rows, epsilon: number): Rows {
    const weight = this.get(`${name}.weight`);
    return x.map((row) => {
      const mean = row.reduce((sum, value) => sum + value * value, 0) / row.length;
      return row.map((value, i) => (value / Math.sqrt(mean + epsilon)) * weight[i]!);
    });
  }
}

export const plus = (a: Rows, b: Rows): Rows => a.map((row, r) => row.map((value, c) => value + b[r]![c]!));
export const gelu = (x: Rows): Rows => x.map((row) => row.map((v) => (v * (1 + erf(v / Math.SQRT2))) / 2));
export const silu = (v: number): number => v / (1 + Math.exp(-v));
export const tanh = (x: Rows): Rows => x.map((row) => row.map(Math.tanh));

/** Softmax attention over heads laid side by side; `visible(i, j)` says whether row i sees key j. */
export function attend(
  q: Rows,
  k: Rows,
  v: Rows,
  heads: number,
  kvHeads: number,
  visible: (row: number, key: number) => boolean,
): Rows {
  const d = q[0]!.length / heads;
  return q.map((row, i) =>
    Array.from({ length: heads }, (_, h) => {
      const kv = Math.floor(h / (heads / kvHeads)) * d;
      const scores = k.map((key, j) => {
        if (!visible(i, j)) return -Infinity;
        let sum = 0;
        for (let c = 0; c < d; c++) sum += row[h * d + c]! * key[kv + c]!;
        return sum / Math.sqrt(d);
      });
      const max = Math.max(...scores);
      const weights = scores.map((score) => Math.exp(score - max));
      const total = weights.reduce((sum, weight) => sum + weight, 0);
      return Array.from({ length: d }, (_, c) => weights.reduce((sum, w, j) => sum + (w / total) * v[j]![kv + c]!, 0));
    }).flat(),
  );
}

/** Half-split rotary embedding of every head at row index = position. */
export function rotate(x: Rows, heads: number, theta: number): Rows {
  const d = x[0]!.length / heads;
  return x.map((row, position) =>
    row.map((value, c) => {
      const inHead = c % d;
      const pair = inHead % (d / 2);
      const angle = position * theta ** ((-2 * pair) / d);
      const partner = inHead < d / 2 ? -row[c + d / 2]! : row[c - d / 2]!;
      return value * Math.cos(angle) + partner * Math.sin(angle);
    }),
  );
}

/** Error function by its Taylor series (converges everywhere; |x| small here). */
function erf(x: number): number {
  let term = x;
  let sum = x;
  for (let n = 1; n < 80; n++) {
    term *= -(x * x) / n;
    sum += term / (2 * n + 1);
  }
  return (2 / Math.sqrt(Math.PI)) * sum;
}
