// One-time reordering of heads and FFN units by importance, so that prefixes keep what matters; the full model's function is unchanged.
import * as tf from '@tensorflow/tfjs';
import { SupernetError, throwIfAborted } from '../errors.ts';
import { headGroup, layerFfn, layerHeads, type ElasticAxis, type WeightSlot } from '@hip/checkpoints';
import type { ElasticModel, ModelInputs } from '../model/types.ts';
import { variableGradients } from '../model/variable-gradients.ts';

/** Options of {@link reorderByImportance}. */
export interface ReorderOptions {
  /**
   * How importance is measured:
   * - `activation`: Σ over calibration tokens of (input of the output projection)² · ‖its row‖², the energy a head or unit adds to the
   *   residual stream (diagonal form, as Wanda, Sun 2023). Needs `batches`; forward passes only.
   * - `taylor`: Σ over losses of (Σ w·∂loss/∂w)², the squared first-order change when a head or unit is removed (Michel 2019,
   *   Molchanov 2019). Needs `losses`, many small ones.
   * - `magnitude`: weights only. Cheap, and often worse than no reordering on trained models.
   */
  readonly criterion: 'activation' | 'taylor' | 'magnitude';
  /** Calibration inputs (training data, not the data that is reported). */
  readonly batches?: readonly ModelInputs[] | undefined;
  /** Losses of calibration batches, each a function that runs the model. */
  readonly losses?: readonly (() => tf.Scalar)[] | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: { readonly done: number; readonly total: number }) => void) | undefined;
}

/** New order per layer: position i holds what was at `order[i]`. Heads are counted in key/value groups; FFN units of multiway models are vision's. */
export interface ReorderReport {
  readonly headGroups: readonly (readonly number[])[];
  readonly ffn: readonly (readonly number[])[];
}

/**
 * Permutes every layer's heads (whole key/value groups) and FFN units in place, the most important first.
 * Sums over heads and units do not depend on their order, so the full model computes the same function up to float rounding.
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
  const scores = await CRITERIA[criterion](model, options);
  const report = { headGroups: [] as number[][], ffn: [] as number[][] };
  for (let layer = 0; layer < model.config.layers; layer++) {
    throwIfAborted(options.signal, 'reorderByImportance');
    const groups = layerHeads(model.config, layer) / headGroup(model.config);
    const sums = (projection: string, units: number): number[] | undefined => {
      const values = scores.get(`layers.${layer}.${projection}`);
      return values && unitSums(values, units);
    };
    // In a multiway model attention joins both branches, so that heads have one order; FFN units are each branch's own. A branch that
    // nothing was measured of keeps its order.
    const units = layerFfn(model.config, layer);
    const ofHeads = ['attention.output', 'language.attention.output'].map((name) => sums(name, groups));
    const headOrder = descending(
      Array.from({ length: groups }, (_, group) => ofHeads.reduce((sum, one) => sum + (one?.[group] ?? 0), 0)),
    );
    const inOrder = Array.from({ length: units }, () => 0);
    const ffnOrder = descending(sums('ffn.down', units) ?? inOrder);
    const languageOrder = descending(sums('language.ffn.down', units) ?? inOrder);
    for (const slot of model.slots) {
      if (slot.layer !== layer) continue;
      const isLanguage = slot.name.startsWith(`layers.${layer}.language.`);
      await permute(model, slot, headOrder, isLanguage ? languageOrder : ffnOrder);
    }
    report.headGroups.push(headOrder);
    report.ffn.push(ffnOrder);
  }
  return report;
}

/** Importance of every input feature of every output projection, by projection name. */
type Scores = Map<string, Float32Array>;

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
    tf.tidy(() => model.forward(batch, { observe, logits: 'none' }).logits.dispose());
    for (const [projection, energy] of energies) accumulate(scores, projection, (await energy.data()) as Float32Array);
    tf.dispose([...energies.values()]);
    options.onProgress?.({ done: index + 1, total: batches.length });
  }
  for (const [projection, energy] of scores) {
    const norms = await rowSquares(model, projection);
    for (let row = 0; row < energy.length; row++) energy[row]! *= norms[row] as number;
  }
  return scores;
}

/** Sum over losses of (w·∂loss/∂w summed over a row)²; rows of a head add up before squaring only within one loss. */
async function taylorScores(model: ElasticModel, options: ReorderOptions): Promise<Scores> {
  const losses = required(options.losses, 'taylor', 'losses');
  const names = projections(model);
  const variables = names.map((name) => model.weights.get(`${name}.weight`) as tf.Variable);
  // Zero for a layer that no loss depends on: those of sub-networks may leave the last ones out.
  const scores: Scores = new Map(names.map((name, i) => [name, new Float32Array(variables[i]?.shape[0] ?? 0)]));
  for (const [index, loss] of losses.entries()) {
    throwIfAborted(options.signal, 'reorderByImportance');
    const { value, grads } = variableGradients(loss, variables);
    value.dispose();
    for (const [i, name] of names.entries()) {
      const variable = variables[i] as tf.Variable;
      const gradient = grads[variable.name];
      if (!gradient) continue;
      const isHead = name.endsWith('attention.output');
      const unit = isHead ? model.config.headSize * headGroup(model.config) : 1;
      const rows = variable.shape[0] as number;
      const squares = tf.tidy(() => {
        const changes = tf.sum(tf.reshape(tf.sum(tf.mul(gradient, variable), 1), [rows / unit, unit]), 1);
        return tf.reshape(tf.tile(tf.expandDims(tf.div(tf.square(changes), unit), 1), [1, unit]), [rows]);
      });
      accumulate(scores, name, (await squares.data()) as Float32Array);
      squares.dispose();
    }
    tf.dispose(grads);
    options.onProgress?.({ done: index + 1, total: losses.length });
  }
  return scores;
}

async function magnitudeScores(model: ElasticModel): Promise<Scores> {
  const scores: Scores = new Map();
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
  const variable = model.weights.get(`${projection}.weight`) as tf.Variable;
  const [rows, columns] = variable.shape as [number, number];
  const data = await variable.data();
  const squares = new Float32Array(rows);
  for (let i = 0; i < data.length; i++) squares[Math.floor(i / columns)]! += (data[i] as number) ** 2;
  return squares;
}

/** ‖column‖² of a projection's weight. */
async function columnSquares(model: ElasticModel, projection: string): Promise<Float32Array> {
  const variable = model.weights.get(`${projection}.weight`) as tf.Variable;
  const columns = variable.shape[1] as number;
  const data = await variable.data();
  const squares = new Float32Array(columns);
  for (let i = 0; i < data.length; i++) squares[i % columns]! += (data[i] as number) ** 2;
  return squares;
}

function descending(scores: readonly number[]): number[] {
  return scores.map((_, i) => i).sort((a, b) => (scores[b] as number) - (scores[a] as number) || a - b);
}

async function permute(
  model: ElasticModel,
  slot: WeightSlot,
  headOrder: readonly number[],
  ffnOrder: readonly number[],
): Promise<void> {
  const axis = slot.axes.findIndex((kind) => kind !== 'fixed');
  if (axis < 0) return;
  const order = (slot.axes[axis] as ElasticAxis) === 'ffn' ? ffnOrder : headOrder;
  const block = (slot.shape[axis] as number) / order.length;
  const variable = model.weights.get(slot.name) as tf.Variable;
  const data = (await variable.data()) as Float32Array;
  // Runs of consecutive values that move together: blocks of rows, or of columns within each row.
  const run = block * (axis === 0 ? slot.shape.slice(1).reduce((size, extent) => size * extent, 1) : 1);
  const width = run * order.length;
  const moved = new Float32Array(data.length);
  for (let row = 0; row < data.length; row += width) {
    for (const [to, from] of order.entries()) {
      moved.set(data.subarray(row + from * run, row + (from + 1) * run), row + to * run);
    }
  }
  tf.tidy(() => variable.assign(tf.tensor(moved, variable.shape)));
}
