// The residual stream of one forward pass: all channels, the first so many of them (sliced), or all with the rest zeroed (masked).
import * as tf from '@tensorflow/tfjs';
import type { ModelConfig, WeightSlot } from '@hip/checkpoints';
import { keptAxes, sliceTensor } from '../elastic/slice.ts';
import type { LayerWidth } from '../elastic/slice.ts';
import { SupernetError } from '../errors.ts';
import { layerNorm, maskedLayerNorm, maskedRmsNorm, rmsNorm } from './norms.ts';

/** What embeddings, layers and heads see of a model's weights and of its hidden size in one pass. */
export interface Stream {
  /** Columns of hidden rows: the sub-network's hidden size, or the model's in masked mode. */
  readonly width: number;
  /** A weight that belongs to no layer, or is cut along the hidden size only, as the pass uses it. */
  readonly weight: (name: string) => tf.Tensor;
  /** Rows of an embedding table as they are looked up: cut afterwards, so that the table is not copied. */
  lookUp(table: string, rows: (table: tf.Tensor2D) => tf.Tensor2D): tf.Tensor2D;
  /** The configuration's norm, or a LayerNorm, of hidden rows [N, width]; its statistics see the live channels only. */
  norm(x: tf.Tensor2D, name: string, kind?: 'layer'): tf.Tensor2D;
  /** Zeroes what is not live in masked mode, after whatever adds to all channels (a bias, a table). */
  mask(x: tf.Tensor2D): tf.Tensor2D;
}

/** What {@link createStream} needs of a model. */
export interface StreamSource {
  readonly config: ModelConfig;
  readonly weights: ReadonlyMap<string, tf.Variable>;
  readonly slots: ReadonlyMap<string, WeightSlot>;
}

/** The stream of a pass with so many channels. Made inside tf.tidy. */
export function createStream({ config, weights, slots }: StreamSource, hidden: number, masked: boolean): Stream {
  const full = config.hiddenSize;
  const isCut = hidden < full;
  const width = masked ? full : hidden;
  const prefix = (size: number, kept: number) => tf.tensor1d(new Float32Array(size).fill(1, 0, kept));
  const mask = isCut && masked ? prefix(full, hidden) : undefined;
  const sliced: Pick<LayerWidth, 'hidden'> = { hidden };
  const whole = (name: string): tf.Tensor => {
    const variable = weights.get(name);
    if (!variable) throw new SupernetError('internal', `${config.family} has no weight ${name}`, { name });
    return variable;
  };
  const weight = (name: string): tf.Tensor => {
    if (!isCut || masked) return whole(name);
    const slot = slots.get(name) as WeightSlot;
    return sliceTensor(
      whole(name),
      keptAxes(
        config,
        { ...slot, axes: slot.axes.map((axis) => (axis.endsWith('hidden') ? axis : 'fixed')) },
        {
          heads: 0,
          kvHeads: 0,
          ffn: 0,
          ...sliced,
        },
      ),
    );
  };
  return {
    width,
    weight,
    lookUp: (name, rows) => {
      const found = rows(whole(name) as tf.Tensor2D);
      return isCut && !masked ? tf.slice2d(found, [0, 0], [found.shape[0], hidden]) : found;
    },
    norm: (x, name, kind = config.norm.kind === 'rms' ? undefined : 'layer') => {
      const { epsilon } = config.norm;
      const scale = weight(`${name}.weight`) as tf.Tensor1D;
      const hasBias = kind === 'layer' && config.norm.bias !== false;
      const bias = hasBias ? (weight(`${name}.bias`) as tf.Tensor1D) : undefined;
      if (kind === 'layer') {
        // Some heads have rows of twice the hidden size.
        const times = x.shape[1] / width;
        if (mask && times > 1) {
          return maskedLayerNorm(x, scale, bias, epsilon, prefix(times * full, times * hidden), times * hidden);
        }
        return mask ? maskedLayerNorm(x, scale, bias, epsilon, mask, hidden) : layerNorm(x, scale, bias, epsilon);
      }
      return mask ? maskedRmsNorm(x, scale, epsilon, mask, hidden) : rmsNorm(x, scale, epsilon);
    },
    mask: (x) => (mask ? tf.mul(x, mask) : x),
  };
}
