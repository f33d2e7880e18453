// Two models' next-token distributions, row by row: how far apart, and what each says of the text.
import * as tf from '@tensorflow/tfjs';
import { HipError } from '@hip/mask-search';

/** Per row. */
export interface RowComparison {
  /** KL(exact ‖ other) in nats. */
  readonly divergence: Float32Array;
  /** −log of the true token's probability, in nats. */
  readonly exactLoss: Float32Array;
  readonly loss: Float32Array;
  /** 1 where both find the same token likeliest. */
  readonly equalArgmax: Float32Array;
}

/** Compares logits [N, V] to exact ones; targets [N] int32 are the true next tokens. */
export async function compareRows(
  exact: tf.Tensor2D,
  other: tf.Tensor2D,
  targets: tf.Tensor1D,
): Promise<RowComparison> {
  // One tensor, so that it is one readback: [4, N].
  const table = tf.tidy(() => {
    const [logP, logQ] = [tf.logSoftmax(exact), tf.logSoftmax(other)];
    const p = tf.exp(logP);
    // Σ p·log(p/q) = Σ (p·log(p/q) + q − p): no term is negative, so that rounding does not pass for a divergence.
    const terms = tf.add(tf.mul(p, tf.sub(logP, logQ)), tf.sub(tf.exp(logQ), p));
    const equal = tf.equal(tf.argMax(exact, 1), tf.argMax(other, 1));
    return tf.stack([tf.sum(terms, 1), lossOf(logP, targets), lossOf(logQ, targets), tf.cast(equal, 'float32')]);
  });
  const values = (await table.data()) as Float32Array;
  table.dispose();
  const rows = values.length / 4;
  const part = (index: number): Float32Array => values.subarray(index * rows, (index + 1) * rows);
  return { divergence: part(0), exactLoss: part(1), loss: part(2), equalArgmax: part(3) };
}

function lossOf(logarithms: tf.Tensor, targets: tf.Tensor1D): tf.Tensor {
  const [rows, vocabulary] = logarithms.shape as [number, number];
  const at = tf.add(tf.mul(tf.range(0, rows, 1, 'int32'), tf.scalar(vocabulary, 'int32')), targets);
  return tf.neg(tf.gather(tf.reshape(logarithms, [rows * vocabulary]), at));
}

/** Sums of {@link RowComparison}s. */
export class Comparison {
  #rows = 0;
  #divergence = 0;
  #squared = 0;
  #exactLoss = 0;
  #loss = 0;
  #equal = 0;

  /** @param first token of the first row, for the message @throws HipError `non-finite` */
  add({ divergence, exactLoss, loss, equalArgmax }: RowComparison, first: number, name: string): void {
    for (const [row, value] of divergence.entries()) {
      if (!Number.isFinite(value) || !Number.isFinite(exactLoss[row]) || !Number.isFinite(loss[row])) {
        const who = Number.isFinite(exactLoss[row]) ? `run "${name}"` : 'the dense run';
        const message = `logits of ${who} after token ${first + row} are not finite: the text, the weights or the attention overflow`;
        throw new HipError('non-finite', message, { token: first + row, run: name });
      }
      this.#divergence += value;
      this.#squared += value * value;
      this.#exactLoss += exactLoss[row]!;
      this.#loss += loss[row]!;
      this.#equal += equalArgmax[row]!;
    }
    this.#rows += divergence.length;
  }

  /** Perplexity of the exact distributions. */
  get exactPerplexity(): number {
    return Math.exp(this.#exactLoss / this.#rows);
  }

  summary(): {
    readonly kl: number;
    readonly klError: number;
    readonly perplexity: number;
    readonly perplexityRatio: number;
    readonly equalArgmax: number;
  } {
    const rows = this.#rows;
    const mean = this.#divergence / rows;
    const variance = Math.max(0, this.#squared / rows - mean * mean);
    return {
      kl: 1000 * mean,
      klError: 1000 * Math.sqrt(variance / rows),
      perplexity: Math.exp(this.#loss / rows),
      perplexityRatio: Math.exp((this.#loss - this.#exactLoss) / rows),
      equalArgmax: this.#equal / rows,
    };
  }
}
