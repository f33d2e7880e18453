// Gradients of block means, collected a block and spread over its keys and values at the end.
import type { AttentionShape } from '../block-mask.ts';
import type { BlockMeans } from '../remainder/block-sums.ts';
import { vectorOffset } from './score.ts';

interface Mean {
  readonly batch: number;
  readonly kvHead: number;
  readonly start: number;
  readonly size: number;
  /** Mean key and value [d]. */
  readonly k: Float64Array;
  readonly v: Float64Array;
  readonly dk: Float64Array;
  readonly dv: Float64Array;
}

/** The means that rows ask for, each with room for its gradients. Memory O(distinct blocks·d). */
export class MeanGradients {
  readonly #means: BlockMeans;
  readonly #shape: AttentionShape;
  readonly #blocks = new Map<string, Mean>();

  constructor(means: BlockMeans, shape: AttentionShape) {
    this.#means = means;
    this.#shape = shape;
  }

  /** The mean of `size` keys from `start` on. */
  of(batch: number, kvHead: number, start: number, size: number): Mean {
    const name = `${batch}/${kvHead}/${start}/${size}`;
    let block = this.#blocks.get(name);
    if (!block) {
      const vector = (): Float64Array => new Float64Array(this.#shape.headDim);
      block = { batch, kvHead, start, size, k: vector(), v: vector(), dk: vector(), dv: vector() };
      this.#means.keys.mean(block.k, batch, kvHead, start, size);
      this.#means.values.mean(block.v, batch, kvHead, start, size);
      this.#blocks.set(name, block);
    }
    return block;
  }

  /** Adds 1/size of each mean's gradients to those of its keys and values. */
  spread(out: { readonly k: Float64Array; readonly v: Float64Array }): void {
    const { keys, kvHeads, headDim: d } = this.#shape;
    for (const { batch, kvHead, start, size, dk, dv } of this.#blocks.values()) {
      for (let key = start; key < start + size; key++) {
        const at = vectorOffset(batch, key, kvHead, keys, kvHeads, d);
        for (let c = 0; c < d; c++) {
          out.k[at + c]! += dk[c]! / size;
          out.v[at + c]! += dv[c]! / size;
        }
      }
    }
  }
}
