// Importance of heads, FFN units and channels: by what they do on batches, to the loss, or by their weights alone.
import * as tf from '@tensorflow/tfjs';
import { SupernetError, throwIfAborted } from '../errors.ts';
import { layerHeads, layerKvHeads } from '@hip/checkpoints';
import type { ElasticModel } from '../model/types.ts';
import { variableGradients } from '../model/variable-gradients.ts';
import type { ReorderOptions } from './reorder-options.ts';

/** Importance of every input feature of every output projection, by projection name; of channels under {@link HIDDEN}. */
export type Scores = Map<string, Float32Array>;

/** Key of the channels' scores. */
export const HIDDEN = 'hidden';
/** Suffix of scores of single query heads where they are not the parts of their group's. */
export const BY_HEAD = ':heads';

function projections(model: ElasticModel): string[] {
  return model.slots.flatMap(({ name }) => /^(.*\.(?:attention\.output|ffn\.down))\.weight$/.exec(name)?.[1] ?? []);
}

async function activationScores(model: ElasticModel, options: ReorderOptions): Promise<Scores> {
  const batches = required(options.batches, 'activation', 'batches');
  const scores: Scores = new Map();
  for (const [index, batch] of batches.entries()) {
    throwIfAborted(options.signal, 'reorderByImportance');
    const energies = new Map<string, tf.Tensor>();
    const observe = (projection: string, input: tf.Tensor2D): void => {
      energies.set(projection, tf.keep(tf.sum(tf.square(input), 0)));
    };
    let channels: tf.Tensor | undefined;
    const observeNorm = (_: string, output: tf.Tensor2D): void => {
      const mean = tf.mean(tf.abs(output), 0);
      const sum = channels ? tf.add(channels, mean) : mean;
      channels?.dispose();
      channels = tf.keep(sum);
    };
    const wantsHidden = options.axes?.includes('hidden');
    tf.tidy(() =>
      model.forward(batch, { observe, logits: 'none', ...(wantsHidden && { observeNorm }) }).logits.dispose(),
    );
    if (channels) energies.set(HIDDEN, channels);
    for (const [projection, energy] of energies) accumulate(scores, projection, (await energy.data()) as Float32Array);
    tf.dispose([...energies.values()]);
    options.onProgress?.({ done: index + 1, total: batches.length });
  }
  for (const [projection, energy] of scores) {
    if (projection === HIDDEN) continue;
    const norms = await rowSquares(model, projection);
    for (let row = 0; row < energy.length; row++) energy[row]! *= norms[row] as number;
  }
  return scores;
}

/** Sum over losses of (w·∂loss/∂w summed over a row)²; rows of a head add up before squaring only within one loss. */
async function taylorScores(model: ElasticModel, options: ReorderOptions): Promise<Scores> {
  const losses = required(options.losses, 'taylor', 'losses');
  const names = projections(model);
  const norms = options.axes?.includes('hidden') ? hiddenNorms(model) : [];
  const weightOf = (name: string) => model.weights.get(name) as tf.Variable;
  const rowsOf = (name: string) => weightOf(`${name}.weight`).shape[0] as number;
  // Zero for a layer that no loss depends on: those of sub-networks may leave the last ones out.
  const scores: Scores = new Map(names.map((name) => [name, new Float32Array(rowsOf(name))]));
  if (norms.length > 0) scores.set(HIDDEN, new Float32Array(model.config.hiddenSize));
  const variables = [...names.map((name) => `${name}.weight`), ...norms].map(weightOf);
  for (const [index, loss] of losses.entries()) {
    throwIfAborted(options.signal, 'reorderByImportance');
    const { value, grads } = variableGradients(loss, variables);
    value.dispose();
    const changeOf = (variable: tf.Variable): tf.Tensor | undefined => {
      const gradient = grads[variable.name];
      return gradient && tf.mul(gradient, variable);
    };
    const found = tf.tidy(() => {
      const squares: Record<string, tf.Tensor> = {};
      for (const name of names) {
        const change = changeOf(weightOf(`${name}.weight`));
        if (!change) continue;
        const isHead = name.endsWith('attention.output');
        const rows = tf.sum(change, 1);
        squares[name] = squaredBlocks(rows, isHead ? headFeatures(model, name, 'group') : 1);
        if (isHead) squares[name + BY_HEAD] = squaredBlocks(rows, headFeatures(model, name, 'head'));
      }
      const channels = norms.flatMap((name) => changeOf(weightOf(name)) ?? []);
      if (channels.length > 0) squares[HIDDEN] = tf.square(tf.addN(channels));
      return squares;
    });
    for (const [name, values] of Object.entries(found)) accumulate(scores, name, (await values.data()) as Float32Array);
    tf.dispose([found, grads]);
    options.onProgress?.({ done: index + 1, total: losses.length });
  }
  return scores;
}

/** Weights and biases of the residual stream's norms. */
function hiddenNorms(model: ElasticModel): string[] {
  return model.slots.flatMap(({ name, role, axes }) =>
    role === 'norm' && axes[0] === 'hidden' && !name.startsWith('head.') ? [name] : [],
  );
}

/** Input features of a layer's output projection that belong to one query head, or to all of a key/value head. */
function headFeatures(model: ElasticModel, projection: string, of: 'head' | 'group'): number {
  const layer = Number(/^layers\.(\d+)\./.exec(projection)?.[1]);
  const group = layerHeads(model.config, layer) / layerKvHeads(model.config, layer);
  return model.config.headSize * (of === 'head' ? 1 : group);
}

/** (Sum of each block of features)², spread evenly over the block. */
function squaredBlocks(rows: tf.Tensor, block: number): tf.Tensor {
  const count = rows.size / block;
  const sums = tf.sum(tf.reshape(rows, [count, block]), 1);
  return tf.reshape(tf.tile(tf.expandDims(tf.div(tf.square(sums), block), 1), [1, block]), [rows.size]);
}

async function magnitudeScores(model: ElasticModel, options: ReorderOptions): Promise<Scores> {
  const scores: Scores = new Map();
  if (options.axes?.includes('hidden')) scores.set(HIDDEN, await channelSquares(model));
  for (const name of projections(model)) {
    const sources = name.endsWith('ffn.down') ? [name.replace(/down$/, 'up'), name.replace(/down$/, 'gate')] : [];
    const squares = await rowSquares(model, name);
    for (const source of sources.filter((entry) => model.weights.has(`${entry}.weight`))) {
      const columns = await columnSquares(model, source);
      for (let row = 0; row < squares.length; row++) squares[row]! *= columns[row] as number;
    }
    scores.set(name, squares);
  }
  return scores;
}

export const CRITERIA = { activation: activationScores, taylor: taylorScores, magnitude: magnitudeScores };

function required<T>(list: readonly T[] | undefined, criterion: string, option: string): readonly T[] {
  if (list?.length) return list;
  throw new SupernetError('invalid-option', `criterion '${criterion}' needs ${option}`, { criterion, option });
}

function accumulate(scores: Scores, name: string, values: Float32Array): void {
  const sum = scores.get(name);
  if (!sum) scores.set(name, values.slice());
  else for (let i = 0; i < sum.length; i++) sum[i]! += values[i] as number;
}

/** ‖row‖² of a projection's weight. */
async function rowSquares(model: ElasticModel, projection: string): Promise<Float32Array> {
  return axisSquares(model.weights.get(`${projection}.weight`) as tf.Variable, 0);
}

/** ‖column‖² of a projection's weight. */
async function columnSquares(model: ElasticModel, projection: string): Promise<Float32Array> {
  return axisSquares(model.weights.get(`${projection}.weight`) as tf.Variable, 1);
}

/** Of each channel, Σw² of all matrices and tables that read or write it. */
async function channelSquares(model: ElasticModel): Promise<Float32Array> {
  const sum = new Float32Array(model.config.hiddenSize);
  for (const { name, axes, shape } of model.slots) {
    if (shape.length < 2) continue;
    for (const [axis, kind] of axes.entries()) {
      if (kind !== 'hidden') continue;
      const squares = await axisSquares(model.weights.get(name) as tf.Variable, axis);
      for (let i = 0; i < sum.length; i++) sum[i]! += squares[i] as number;
    }
  }
  return sum;
}

/** Σw² along each index of an axis of a matrix. */
async function axisSquares(variable: tf.Variable, axis: number): Promise<Float32Array> {
  const [rows, columns] = variable.shape as [number, number];
  const data = await variable.data();
  const squares = new Float32Array(axis === 0 ? rows : columns);
  for (let i = 0; i < data.length; i++) {
    squares[axis === 0 ? Math.floor(i / columns) : i % columns]! += (data[i] as number) ** 2;
  }
  return squares;
}
