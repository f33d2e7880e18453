// The residual streams of calibration inputs in a sub-network and in its teacher, which go from layer to layer with its reconstruction.
import * as tf from '@tensorflow/tfjs';
import type { ElasticModel, ModelInputs } from '../model/types.ts';

/** What an output projection is fitted with, of one batch. */
export interface BlockStreams {
  /** What enters the projection in the sub-network [B·T, features]. */
  readonly entering: tf.Tensor2D;
  /** The sub-network's residual stream after the block, its projection being what it is [B·T, D]. */
  readonly left: tf.Tensor2D;
  /** The teacher's [B·T, D of the teacher]. */
  readonly wanted: tf.Tensor2D;
  /** Which tokens are real [B, T]; absent where all are. */
  readonly attentionMask: tf.Tensor2D | undefined;
}

/** Streams of one batch at a layer. */
interface Streams {
  /** What enters the layer in the sub-network; absent for layer 0. */
  own?: tf.Tensor2D | undefined;
  /** What leaves it in the teacher: it enters the teacher's next one. */
  theirs?: tf.Tensor2D;
  /** The teacher's after the blocks of the layer, before norms that follow them, by the block's name. */
  readonly wanted: Map<string, tf.Tensor2D>;
}

/** Streams of both networks at one layer after the other: a batch goes through each layer of the teacher once. */
export class CalibrationStreams {
  readonly #cut: ElasticModel;
  readonly #teacher: ElasticModel;
  readonly #batches: readonly ModelInputs[];
  readonly #streams: readonly Streams[];
  #layer = -1;

  constructor(cut: ElasticModel, teacher: ElasticModel, batches: readonly ModelInputs[]) {
    this.#cut = cut;
    this.#teacher = teacher;
    this.#batches = batches;
    this.#streams = batches.map(() => ({ wanted: new Map() }));
  }

  get count(): number {
    return this.#batches.length;
  }

  /** Goes forward to a layer; the sub-network's layers before it are not changed any more. */
  goTo(layer: number): void {
    for (const [at, streams] of this.#streams.entries()) {
      const inputs = this.#batches[at] as ModelInputs;
      const from = Math.max(this.#layer, 0);
      if (layer > from) {
        const before = streams.own;
        streams.own = this.#cut.runLayers(inputs, { from, to: layer, entering: before });
        before?.dispose();
      }
      for (let own = this.#layer + 1; own <= layer; own++) this.#teach(inputs, streams, own);
    }
    this.#layer = layer;
  }

  /** The teacher's streams at its next layer. */
  #teach(inputs: ModelInputs, streams: Streams, layer: number): void {
    const before = streams.theirs;
    tf.dispose([...streams.wanted.values()]);
    streams.wanted.clear();
    streams.theirs = this.#teacher.runLayers(inputs, {
      from: layer,
      to: layer + 1,
      entering: before,
      observeBlock: (name, x) => void streams.wanted.set(name, tf.keep(tf.clone(x))),
    });
    before?.dispose();
  }

  /** Streams around an output projection of the layer. The caller disposes `entering` and `left`. */
  at(projection: string, batch: number): BlockStreams {
    const block = projection.slice(0, projection.lastIndexOf('.'));
    const inputs = this.#batches[batch] as ModelInputs;
    const { own, wanted } = this.#streams[batch] as Streams;
    const seen: { entering?: tf.Tensor2D; left?: tf.Tensor2D } = {};
    const leaving = this.#cut.runLayers(inputs, {
      from: this.#layer,
      to: this.#layer + 1,
      entering: own,
      observe: (name, x) => {
        if (name === projection) seen.entering = tf.keep(tf.clone(x));
      },
      observeBlock: (name, x) => {
        if (name === block) seen.left = tf.keep(tf.clone(x));
      },
    });
    leaving.dispose();
    const { attentionMask } = inputs;
    return {
      entering: seen.entering as tf.Tensor2D,
      left: seen.left as tf.Tensor2D,
      wanted: wanted.get(block) as tf.Tensor2D,
      attentionMask,
    };
  }

  dispose(): void {
    for (const { own, theirs, wanted } of this.#streams) {
      own?.dispose();
      theirs?.dispose();
      tf.dispose([...wanted.values()]);
    }
  }
}
