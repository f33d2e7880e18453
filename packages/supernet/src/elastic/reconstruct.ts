// A sub-network that starts closer to what it is cut from: its output projections are fitted again, layer by layer, in closed form.
import * as tf from '@tensorflow/tfjs';
import { SupernetError, throwIfAborted } from '../errors.ts';
import { extractModel } from '../export/values.ts';
import { realTokens } from '../model/real-rows.ts';
import type { ElasticModel, ModelInputs } from '../model/types.ts';
import { CalibrationStreams, type BlockStreams } from './calibration-streams.ts';
import { solvePositive } from './solve.ts';
import { fullSubnet } from './subnets.ts';
import type { SubnetConfig } from './types.ts';

/** Options of {@link reconstructSubnet}. */
export interface ReconstructOptions {
  /** Calibration inputs: training data, several times as many tokens as a layer has FFN units. */
  readonly batches: readonly ModelInputs[];
  /**
   * How much the weights are held to what they were: added to the diagonal of HᵀH, as a share of the diagonal's mean. Little calibration
   * data needs more.
   *
   * @defaultValue 0.01
   */
  readonly ridge?: number | undefined;
  /**
   * Whose residual stream is approached, channel by channel.
   *
   * @defaultValue the model itself, whole
   */
  readonly teacher?: ElasticModel | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: { readonly done: number; readonly total: number }) => void) | undefined;
}

/**
 * A sub-network as a model of its own, as `extractModel` gives it, with every attention output and FFN down projection (and its bias)
 * fitted anew to make up for what was removed: W ← argmin ‖S + H·W − R‖² + λ‖W − W₀‖² over the calibration tokens, H [N, features] what
 * enters the projection in the sub-network, S its residual stream before, R [N, D] the teacher's after the block, W₀ the weights as cut.
 * Layers are fitted in order, so that each sees, and corrects, what those before it still do wrong (layer-wise reconstruction: Hubara 2021,
 * §4; ZipLM, Kurtic 2023, §3.1). No gradients: a batch goes three times through the sub-network and once through the teacher, a layer at a
 * time; three residual streams of all calibration tokens are held on the backend. The caller disposes the model; `model` and `teacher` are
 * untouched.
 *
 * @throws SupernetError `invalid-option` (no batches, a ridge that is not positive, a teacher of other layers or fewer channels),
 * `unsupported-model` (two branches), `non-finite` (activations), `invalid-subnet`, `aborted`
 *
 * @example
 * ```ts
 * const small = await reconstructSubnet(model, smallestSubnet(model.space), { batches: [{ inputIds }] });
 * ```
 */
export async function reconstructSubnet(
  model: ElasticModel,
  subnet: SubnetConfig = fullSubnet(model.space),
  options: ReconstructOptions,
): Promise<ElasticModel> {
  check(model, subnet, options);
  const { batches, ridge = 0.01, teacher = model, signal, onProgress } = options;
  const cut = await extractModel(model, subnet);
  const streams = new CalibrationStreams(cut, teacher, batches);
  try {
    const names = projectionsOf(cut);
    for (const [done, name] of names.entries()) {
      throwIfAborted(signal, 'reconstruction');
      streams.goTo(Number(name.split('.')[1]));
      await refit(cut, streams, name, ridge);
      onProgress?.({ done: done + 1, total: names.length });
    }
    return cut;
  } catch (error) {
    cut.dispose();
    throw error;
  } finally {
    streams.dispose();
  }
}

/** Output projections in the order in which they are computed. */
function projectionsOf({ slots }: ElasticModel): string[] {
  const found = slots.flatMap(
    ({ name }) => /^(layers\.\d+\.(?:attention\.output|ffn\.down))\.weight$/.exec(name)?.[1] ?? [],
  );
  const place = (name: string): number => 2 * Number(name.split('.')[1]) + (name.endsWith('down') ? 1 : 0);
  return found.sort((a, b) => place(a) - place(b));
}

/** Fits one projection anew, those before it being what they are. */
async function refit(cut: ElasticModel, streams: CalibrationStreams, name: string, ridge: number): Promise<void> {
  const weight = cut.weights.get(`${name}.weight`) as tf.Variable;
  const bias = cut.weights.get(`${name}.bias`);
  const [features, width] = weight.shape as [number, number];
  const size = features + (bias ? 1 : 0);
  const [gram, moment] = [new Float64Array(size * size), new Float64Array(size * width)];
  for (let batch = 0; batch < streams.count; batch++) {
    const block = streams.at(name, batch);
    const sums = tf.tidy(() => normalEquations(block, bias !== undefined));
    tf.dispose([block.entering, block.left]);
    const [squares, products] = await Promise.all(sums.map((sum) => sum.data()));
    tf.dispose(sums);
    add(gram, squares as Float32Array);
    add(moment, products as Float32Array);
  }
  let trace = 0;
  for (let i = 0; i < size; i++) trace += gram[i * size + i] as number;
  if (!Number.isFinite(trace) || moment.some((value) => !Number.isFinite(value))) {
    throw new SupernetError('non-finite', `${name}: activations of the calibration batches are not finite`, { name });
  }
  // Nothing enters the projection: there is nothing to fit.
  if (trace === 0) return;
  for (let i = 0; i < size; i++) gram[i * size + i]! += (ridge * trace) / size;
  const change = solvePositive(gram, moment, size, width);
  tf.tidy(() => {
    weight.assign(tf.add(weight, tf.tensor2d(change.subarray(0, features * width), [features, width])));
    bias?.assign(tf.add(bias, tf.tensor1d(change.subarray(features * width))));
  });
}

/** HᵀH [F, F] and Hᵀ·(what the residual stream lacks after the block) [F, D] of one batch, over real tokens; a bias is one more feature, 1. */
function normalEquations(
  { entering, left, wanted, attentionMask }: BlockStreams,
  hasBias: boolean,
): [tf.Tensor2D, tf.Tensor2D] {
  const rows = entering.shape[0];
  const h = hasBias ? tf.concat2d([entering, tf.ones<tf.Rank.R2>([rows, 1])], 1) : entering;
  const kept: tf.Tensor2D = attentionMask ? tf.mul(h, tf.reshape(realTokens(attentionMask), [rows, 1])) : h;
  const lack: tf.Tensor2D = tf.sub(tf.slice2d(wanted, [0, 0], left.shape), left);
  return [tf.matMul(kept, kept, true), tf.matMul(kept, lack, true)];
}

function add(sum: Float64Array, values: Float32Array): void {
  for (let i = 0; i < sum.length; i++) sum[i]! += values[i] as number;
}

function check(
  model: ElasticModel,
  subnet: SubnetConfig,
  { batches, ridge = 0.01, teacher = model }: ReconstructOptions,
) {
  if (!batches?.length) {
    throw new SupernetError('invalid-option', 'batches: reconstruction needs calibration inputs, at least one batch', {
      batches: batches?.length,
    });
  }
  if (!(ridge > 0 && Number.isFinite(ridge))) {
    throw new SupernetError('invalid-option', `ridge = ${ridge}: expected a positive number`, { ridge });
  }
  if (model.config.multiway || teacher.config.multiway) {
    const message = `a ${model.family} model has two branches, each with weights of its own: reconstruction is of models with one`;
    throw new SupernetError('unsupported-model', message, { family: model.family });
  }
  const width = subnet.hidden ?? model.config.hiddenSize;
  const { layers, hiddenSize } = teacher.config;
  if (layers < subnet.layers || hiddenSize < width) {
    throw new SupernetError(
      'invalid-option',
      `teacher: ${layers} layers of ${hiddenSize} channels for a sub-network of ${subnet.layers} of ${width}: expected as many at least`,
      { layers, hiddenSize, wantedLayers: subnet.layers, wantedChannels: width },
    );
  }
}
