// One-time reordering of heads, FFN units and channels by importance, so that prefixes keep what matters; the full model's function is unchanged.
import * as tf from '@tensorflow/tfjs';
import { requireNoAdapters } from '../adapters/none.ts';
import { SupernetError, throwIfAborted } from '../errors.ts';
import { layerFfn, layerHeads, layerKvHeads, type ElasticAxis, type WeightSlot } from '@hip/checkpoints';
import type { ElasticModel } from '../model/types.ts';
import { BY_HEAD, HIDDEN, CRITERIA } from './importance.ts';
import type { Scores } from './importance.ts';
import { REORDER_AXES } from './reorder-options.ts';
import type { ReorderOptions, ReorderAxis } from './reorder-options.ts';

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
 * @throws SupernetError `invalid-option` for an unknown criterion, one whose calibration data is missing, a model with adapters; `aborted`
 *
 * @example
 * ```ts
 * await reorderByImportance(model, { criterion: 'activation', batches: [{ inputIds }] });
 * ```
 */
export async function reorderByImportance(model: ElasticModel, options: ReorderOptions): Promise<ReorderReport> {
  requireNoAdapters(model, 'reorderByImportance');
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

function unitSums(rows: Float32Array, units: number): number[] {
  const size = rows.length / units;
  return Array.from({ length: units }, (_, unit) => {
    let sum = 0;
    for (let row = unit * size; row < (unit + 1) * size; row++) sum += rows[row] as number;
    return sum;
  });
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
