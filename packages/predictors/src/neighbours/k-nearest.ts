// k nearest neighbours by Euclidean distance.
import { PredictorError } from '../errors.ts';
import { defineRegressor, type Model, type Regressor } from '../core/model.ts';
import { oneRow } from '../core/one-row.ts';
import { count, oneOf } from '../core/options.ts';
import { plain, saveAs, type SavedState } from '../core/saved.ts';
import { tameTargets } from '../core/robust.ts';
import { finite, scale, scaled, scaleTargets, type Scaling } from '../core/scaling.ts';
import { tableOf, type Rows, type Table } from '../core/table.ts';
import { squaredDistances } from '../linalg/distances.ts';

export interface NearestNeighboursOptions {
  /** k; all rows where there are fewer, and more where several are as far away as the k-th. @defaultValue 5 */
  readonly neighbours?: number | undefined;
  /** Whether nearer neighbours count more, by 1/distance. @defaultValue 'distance' */
  readonly weights?: 'uniform' | 'distance' | undefined;
  /** Columns to unit deviation first. @defaultValue true */
  readonly standardize?: boolean | undefined;
}

/** A fitted k-NN: its rows. */
export interface NearestNeighboursModel extends Model {
  readonly kind: 'nearest-neighbours';
  readonly neighbours: number;
}

interface State {
  readonly scaling: Scaling;
  readonly table: Table;
  readonly targets: Float64Array;
  readonly neighbours: number;
  readonly weights: 'uniform' | 'distance';
}

/** Squared distances that differ by less than this share are equal: a change of unit changes their last places. */
const SAME_DISTANCE = 1e-12;

/** The k nearest, and all that are as far away as the last of them; by distance, then by number. */
function nearest(far: Float64Array, k: number): readonly number[] {
  const order = Array.from(far.keys()).sort((a, b) => far[a]! - far[b]! || a - b);
  const edge = far[order[k - 1]!]! * (1 + SAME_DISTANCE);
  let count = k;
  while (count < order.length && far[order[count]!]! <= edge) count++;
  return order.slice(0, count);
}

function noSpread(rows: number): PredictorError {
  return rows < 2
    ? oneRow('model of neighbours')
    : new PredictorError(
        'no-std',
        'one neighbour has no spread: fit with neighbours of at least 2 to predict deviations',
      );
}

function modelOf({ scaling, table, targets, neighbours, weights }: State): NearestNeighboursModel {
  const features = table.columns;
  const n = table.rows;
  const k = Math.min(neighbours, n);
  /** Calls back with the neighbours of each row, their shares, and the mean of their targets. */
  const each = (rows: Rows, visit: (row: number, near: readonly number[], mean: number) => void): void => {
    const asked = scaled(tableOf(rows, features), scaling);
    const distances = squaredDistances(asked, table);
    for (let i = 0; i < asked.rows; i++) {
      const far = distances.subarray(i * n, (i + 1) * n);
      const near = nearest(far, k);
      const exact = weights === 'distance' && far[near[0]!] === 0;
      let total = 0;
      let sum = 0;
      for (const j of near) {
        const share = weights === 'uniform' ? 1 : exact ? Number(far[j] === 0) : Math.sqrt(far[near[0]!]! / far[j]!);
        total += share;
        sum += share * targets[j]!;
      }
      visit(i, near, sum / total);
    }
  };
  const predict = (rows: Rows): Float64Array => {
    const mean = new Float64Array(rows.length);
    each(rows, (i, _, value) => {
      mean[i] = value;
    });
    return finite(mean);
  };
  const predictWithStd = (rows: Rows) => {
    if (k < 2) throw noSpread(n);
    const mean = new Float64Array(rows.length);
    const std = new Float64Array(rows.length);
    each(rows, (i, near, value) => {
      mean[i] = value;
      const m = near.length;
      // In units of the furthest, whose square neither overflows nor vanishes.
      const furthest = near.reduce((most, j) => Math.max(most, Math.abs(targets[j]! - value)), 0) || 1;
      const spread = near.reduce((sum, j) => sum + ((targets[j]! - value) / furthest) ** 2, 0) / m;
      std[i] = furthest * Math.sqrt(spread * (1 + 1 / m));
    });
    return { mean: finite(mean), std: finite(std) };
  };
  return {
    kind: 'nearest-neighbours',
    features,
    neighbours: k,
    predict,
    predictWithStd,
    toJSON: () =>
      saveAs('nearest-neighbours', features, {
        means: plain(scaling.means),
        deviations: plain(scaling.deviations),
        rows: n,
        table: plain(table.data),
        targets: plain(targets),
        neighbours,
        weights,
      }),
  };
}

/**
 * k nearest neighbours. Rows as far away as the k-th count too, so that the order of the rows decides nothing; with weights by distance, all
 * rows equal to the one asked for decide alone. The deviation is the spread of the neighbours' targets.
 *
 * @throws PredictorError `invalid-option`
 *
 * @example
 * ```ts
 * import { nearestNeighbours } from '@instatune/predictors';
 *
 * const model = nearestNeighbours({ neighbours: 2, weights: 'uniform' }).fit([[0], [1], [9]], [1, 3, 50]);
 * console.log(model.predict([[0.4]])[0]); // => 2
 * ```
 */
export function nearestNeighbours(options: NearestNeighboursOptions = {}): Regressor<NearestNeighboursModel> {
  const { neighbours = 5, weights = 'distance', standardize = true } = options;
  count('neighbours', neighbours);
  oneOf('weights', weights, ['uniform', 'distance']);
  return defineRegressor('nearest-neighbours', function* (table, targets) {
    const scaling = scale(table, standardize);
    // Refuses targets of which a spread would overflow.
    scaleTargets(targets);
    yield 0.5;
    return modelOf({ scaling, table: scaling.table, targets: tameTargets(targets), neighbours, weights });
  });
}

export function loadNearestNeighbours(state: SavedState, features: number): NearestNeighboursModel {
  const rows = state.integer('rows', 1);
  return modelOf({
    scaling: { means: state.numbers('means', features), deviations: state.numbers('deviations', features) },
    table: { rows, columns: features, data: state.numbers('table', rows * features) },
    targets: state.numbers('targets', rows),
    neighbours: state.integer('neighbours', 1),
    weights: state.oneOf('weights', ['uniform', 'distance']),
  });
}
