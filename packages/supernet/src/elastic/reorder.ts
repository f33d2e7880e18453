// One-time reordering of heads, FFN units and channels by importance, so that prefixes keep what matters; the full model's function is unchanged.
import * as tf from '@tensorflow/tfjs';
import { SupernetError, throwIfAborted } from '../errors.ts';
import { layerFfn, layerHeads, layerKvHeads, type ElasticAxis, type WeightSlot } from '@hip/checkpoints';
import type { ElasticModel, ModelInputs } from '../model/types.ts';
import { variableGradients } from '../model/variable-gradients.ts';

/** Options of {@link reorderByImportance}. */
export interface ReorderOptions {
  /**
   * How importance is measured:
   * - `activation`: Σ over calibration tokens of (input of the output projection)² · ‖its row‖², the energy a head or unit adds to the
   *   residual stream (diagonal form, as Wanda, Sun 2023); of a channel its mean absolute value after each norm, summed over the norms
   *   (Muralidharan 2024). Needs `batches`; forward passes only.
   * - `taylor`: Σ over losses of (Σ w·∂loss/∂w)², the squared first-order change when a head or unit, or a channel of all norms, is
   *   removed (Michel 2019, Molchanov 2019). Needs `losses`, many small ones.
   * - `magnitude`: weights only. Cheap, and often worse than no reordering on trained models.
   */
  readonly criterion: 'activation' | 'taylor' | 'magnitude';
  /**
   * What is reordered. `hidden`, the channels of the residual stream, is what hidden states are made of: those of a model without a
   * head come out in the new order (lengths, angles and distances between them stay).
   *
   * @defaultValue ['heads', 'ffn']
   */
  readonly axes?: readonly ReorderAxis[] | undefined;
  /** Calibration inputs (training data, not the data that is reported). */
  readonly batches?: readonly ModelInputs[] | undefined;
  /** Losses of calibration batches, each a function that runs the model. */
  readonly losses?: readonly (() => tf.Scalar)[] | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: { readonly done: number; readonly total: number }) => void) | undefined;
}

/** What {@link reorderByImportance} can reorder: key/value groups and the query heads in each, FFN units, channels. */
export type ReorderAxis = (typeof REORDER_AXES)[number];

const REORDER_AXES = ['heads', 'ffn', 'hidden'] as const;

/** New order per layer: position i holds what was at `order[i]` (FFN units of multiway models: vision's). An axis that was not reordered has the order it had. */
export interface ReorderReport {
  /** Key/value groups. */
  readonly headGroups: readonly (readonly number[])[];
  /** Query heads: group by group. */
  readonly heads: readonly (readonly number[])[];
  readonly ffn: readonly (readonly number[])[];
  /** Channels, the same in the whole network. */
  readonly hidden: readonly number[];
}

/**
 * Permutes every layer's heads (key/value groups, and the query heads in each) and FFN units in place, the most important first, and
 * the channels of the whole network if asked to. Sums over heads, units and channels do not depend on their order, so the full model
 * computes the same function up to float rounding.
 *
 * @throws SupernetError `invalid-option` for an unknown criterion or one whose calibration data is missing; `aborted`
 *
 * @example
 * ```ts
 * await reorderByImportance(model, { criterion: 'activation', batches: [{ inputIds }] });
 * ```
 */
export async function reorderByImportance(model: ElasticModel, options: ReorderOptions): Promise<ReorderReport> {
  const { criterion } = options;
  if (!Object.hasOwn(CRITERIA, criterion)) {
    const known = Object.keys(CRITERIA).join(', ');
    throw new SupernetError('invalid-option', `criterion = ${criterion}: expected ${known}`, { criterion });
  }
  const { axes = ['heads', 'ffn'] } = options;
  const unknown = axes.find((axis) => !REORDER_AXES.includes(axis));
  if (unknown !== undefined) {
    throw new SupernetError('invalid-option', `axes has ${unknown}: expected ${REORDER_AXES.join(', ')}`, { axes });
  }
  const scores = await CRITERIA[criterion](model, options);
  const hidden = axes.includes('hidden') ? descending([...scores.get(HIDDEN)!]) : identity(model.config.hiddenSize);
  const orders = Array.from({ length: model.config.layers }, (_, layer) => layerOrders(model, layer, scores, axes));
  throwIfAborted(options.signal, 'reorderByImportance');
  for (const slot of model.slots) await permute(model, slot, orders[slot.layer ?? 0], hidden);
  return {
    headGroups: orders.map(({ headGroups }) => headGroups),
    heads: orders.map(({ heads }) => heads),
    ffn: orders.map(({ ffn }) => ffn),
    hidden,
  };
}

/** New orders of one layer. */
interface LayerOrders {
  readonly headGroups: readonly number[];
  readonly heads: readonly number[];
  readonly ffn: readonly number[];
  /** FFN units of the language branch of a multiway model. */
  readonly languageFfn: readonly number[];
}

/** Importance of every input feature of every output projection, by projection name; of channels under {@link HIDDEN}. */
type Scores = Map<string, Float32Array>;

/** Key of the channels' scores. */
const HIDDEN = 'hidden';
/** Suffix of scores of single query heads where they are not the parts of their group's. */
const BY_HEAD = ':heads';

function layerOrders(model: ElasticModel, layer: number, scores: Scores, axes: readonly ReorderAxis[]): LayerOrders {
  const [heads, kvHeads] = [layerHeads(model.config, layer), layerKvHeads(model.config, layer)];
  const units = layerFfn(model.config, layer);
  const sums = (projection: string, count: number, more = ''): number[] | undefined => {
    const name = `layers.${layer}.${projection}`;
    const values = scores.get(name + more) ?? scores.get(name);
    return values && count > 0 ? unitSums(values, count) : undefined;
  };
  // In a multiway model attention joins both branches, so that heads have one order; FFN units are each branch's own. A branch that
  // nothing was measured of keeps its order.
  const ofHeads = (count: number, more = ''): number[] => {
    const both = ['attention.output', 'language.attention.output'].map((name) => sums(name, count, more));
    return identity(count).map((unit) => both.reduce((sum, one) => sum + (one?.[unit] ?? 0), 0));
  };
  const moves = { heads: axes.includes('heads'), ffn: axes.includes('ffn') };
  const headGroups = moves.heads ? descending(ofHeads(kvHeads)) : identity(kvHeads);
  const group = heads / Math.max(1, kvHeads);
  const byHead = ofHeads(heads, BY_HEAD);
  const queries = headGroups.flatMap((from) => {
    const order = moves.heads ? descending(byHead.slice(from * group, (from + 1) * group)) : identity(group);
    return order.map((head) => from * group + head);
  });
  const ofUnits = (projection: string): number[] => {
    const found = moves.ffn ? sums(projection, units) : undefined;
    return found ? descending(found) : identity(units);
  };
  return { headGroups, heads: queries, ffn: ofUnits('ffn.down'), languageFfn: ofUnits('language.ffn.down') };
}

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

const CRITERIA = { activation: activationScores, taylor: taylorScores, magnitude: magnitudeScores };

function required<T>(list: readonly T[] | undefined, criterion: string, option: string): readonly T[] {
  if (list?.length) return list;
  throw new SupernetError('invalid-option', `criterion '${criterion}' needs ${option}`, { criterion, option });
}

function accumulate(scores: Scores, name: string, values: Float32Array): void {
  const sum = scores.get(name);
  if (!sum) scores.set(name, values.slice());
  else for (let i = 0; i < sum.length; i++) sum[i]! += values[i] as number;
}

function unitSums(rows: Float32Array, units: number): number[] {
  const size = rows.length / units;
  return Array.from({ length: units }, (_, unit) => {
    let sum = 0;
    for (let row = unit * size; row < (unit + 1) * size; row++) sum += rows[row] as number;
    return sum;
  });
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

function identity(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i);
}

function descending(scores: readonly number[]): number[] {
  return scores.map((_, i) => i).sort((a, b) => (scores[b] as number) - (scores[a] as number) || a - b);
}

/** Moves what a slot has of heads, units and channels to their new places. */
async function permute(
  model: ElasticModel,
  slot: WeightSlot,
  layer: LayerOrders | undefined,
  hidden: readonly number[],
): Promise<void> {
  const isLanguage = /^layers\.\d+\.language\./.test(slot.name);
  const byAxis: Readonly<Partial<Record<ElasticAxis, readonly number[] | undefined>>> = {
    hidden,
    'query-heads': layer?.heads,
    'kv-heads': layer?.headGroups,
    ffn: isLanguage ? layer?.languageFfn : layer?.ffn,
  };
  const orders = slot.shape.map((extent, axis) => featureOrder(byAxis[slot.axes[axis] ?? 'fixed'], extent));
  if (orders.every((order) => order === undefined)) return;
  const variable = model.weights.get(slot.name) as tf.Variable;
  const data = (await variable.data()) as Float32Array;
  const isVector = slot.shape.length < 2;
  const width = isVector ? data.length : (slot.shape[1] as number);
  const [rowOrder, columnOrder] = isVector ? [undefined, orders[0]] : orders;
  const moved = new Float32Array(data.length);
  for (let row = 0; row < data.length / width; row++) {
    const from = (rowOrder?.[row] ?? row) * width;
    if (!columnOrder) moved.set(data.subarray(from, from + width), row * width);
    else for (let i = 0; i < width; i++) moved[row * width + i] = data[from + (columnOrder[i] as number)] as number;
  }
  tf.tidy(() => variable.assign(tf.tensor(moved, variable.shape)));
}

/** Which feature goes to each place of an axis; undefined where all stay. */
function featureOrder(order: readonly number[] | undefined, extent: number): Int32Array | undefined {
  if (!order || order.every((from, to) => from === to)) return undefined;
  const block = extent / order.length;
  return Int32Array.from({ length: extent }, (_, i) => (order[Math.floor(i / block)] as number) * block + (i % block));
}
