// k nearest neighbours by Euclidean distance.
import { defineRegressor, type Model, type Regressor } from '../core/model.ts';
import { count, oneOf } from '../core/options.ts';
import { plain, saveAs, type SavedState } from '../core/saved.ts';
import { finite, scaled, scaleTargets, scalingOf, type Scaling } from '../core/scaling.ts';
import { tableOf, type Rows, type Table } from '../core/table.ts';
import { squaredDistances } from '../linalg/distances.ts';

export interface NearestNeighboursOptions {
  /** k; all rows where there are fewer. @defaultValue 5 */
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

function modelOf({ scaling, table, targets, neighbours, weights }: State): NearestNeighboursModel {
  const features = table.columns;
  const n = table.rows;
  const k = Math.min(neighbours, n);
  const predictWithStd = (rows: Rows) => {
    const asked = scaled(tableOf(rows, features), scaling);
    const distances = squaredDistances(asked, table);
    const mean = new Float64Array(asked.rows);
    const std = new Float64Array(asked.rows);
    for (let i = 0; i < asked.rows; i++) {
      const near = distances.subarray(i * n, (i + 1) * n);
      const order = Array.from(near.keys())
        .sort((a, b) => near[a]! - near[b]! || a - b)
        .slice(0, k);
      // Rows equal to the one asked for decide alone.
      const exact = weights === 'distance' && near[order[0]!] === 0;
      const shares = order.map((j) =>
        weights === 'uniform' ? 1 : exact ? Number(near[j] === 0) : 1 / Math.sqrt(near[j]!),
      );
      const total = shares.reduce((a, b) => a + b, 0);
      mean[i] = order.reduce((sum, j, at) => sum + shares[at]! * targets[j]!, 0) / total;
      const spread = order.reduce((sum, j) => sum + (targets[j]! - mean[i]!) ** 2, 0) / k;
      std[i] = Math.sqrt(spread * (1 + 1 / k));
    }
    return { mean: finite(mean), std: finite(std) };
  };
  return {
    kind: 'nearest-neighbours',
    features,
    neighbours: k,
    predict: (rows) => predictWithStd(rows).mean,
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
 * k nearest neighbours; ties go to the earlier row. The deviation is the spread of the neighbours' targets.
 *
 * @throws PredictorError `invalid-option`
 *
 * @example
 * ```ts
 * import { nearestNeighbours } from '@instatune/predictors';
 *
 * const model = nearestNeighbours({ neighbours: 2, weights: 'uniform' }).fit([[0], [1], [9]], [1, 3, 50]);
 * model.predict([[0.4]])[0]; // 2
 * ```
 */
export function nearestNeighbours(options: NearestNeighboursOptions = {}): Regressor<NearestNeighboursModel> {
  const { neighbours = 5, weights = 'distance', standardize = true } = options;
  count('neighbours', neighbours);
  oneOf('weights', weights, ['uniform', 'distance']);
  return defineRegressor('nearest-neighbours', function* (table, targets) {
    const scaling = scalingOf(table, standardize);
    // Refuses targets of which a spread would overflow.
    scaleTargets(targets);
    yield 0.5;
    return modelOf({ scaling, table: scaled(table, scaling), targets, neighbours, weights });
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
