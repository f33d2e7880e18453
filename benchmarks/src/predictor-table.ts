// Every predictor by what it is used for: MAPE and Kendall's tau on measured networks, by rows that it learnt from.
import {
  auto,
  boostedTrees,
  gaussianProcess,
  kendallTau,
  mape,
  nearestNeighbours,
  randomForest,
  ridge,
  stacking,
  svr,
  type Regressor,
} from '@instatune/predictors';
import { readHat, readOfa, split, type DataSet } from '../../packages/predictors/test/fixtures/nas.ts';
import { median, type Benchmark } from './benchmark.ts';

const SIZES = [50, 100, 250] as const;
const SEEDS = 3;
const TEST = 500;

const METHODS: Readonly<Record<string, () => Regressor>> = {
  ridge: () => ridge(),
  'svr, RBF': () => svr(),
  'svr, linear': () => svr({ kernel: 'linear' }),
  'gaussianProcess, a length scale a column': () => gaussianProcess(),
  'gaussianProcess, one length scale': () => gaussianProcess({ ard: false }),
  randomForest: () => randomForest(),
  boostedTrees: () => boostedTrees(),
  nearestNeighbours: () => nearestNeighbours(),
  stacking: () => stacking({ ridge: ridge(), svr: svr(), forest: randomForest() }),
  auto: () => auto(),
};

export const benchmark: Benchmark = {
  name: 'predictor-table',
  description: 'MAPE and Kendall’s τ of every predictor on HAT latencies and OFA accuracies, by rows learnt from',
  async run({ quick, log, signal }) {
    const ofa = readOfa(true);
    if (!ofa) {
      log('no ../shared/data/nas: nothing to measure on');
      return { rows: [] };
    }
    const sets: Readonly<Record<string, DataSet>> = {
      'OFA-MobileNetV3 top-1': ofa,
      'HAT Xeon latency': readHat('cpu_xeon')!,
      'HAT Titan Xp latency': readHat('gpu_titanxp')!,
    };
    const rows: Record<string, unknown>[] = [];
    const seeds = quick ? 1 : SEEDS;
    for (const size of quick ? [50] : SIZES) {
      for (const [set, data] of Object.entries(sets)) {
        for (const [method, create] of Object.entries(METHODS)) {
          signal.throwIfAborted();
          const before = process.cpuUsage();
          const judged = Array.from({ length: seeds }, (_, seed) => {
            const { train, test } = split(data, size, TEST, seed);
            const predicted = create().fit(train.rows, train.targets, { seed }).predict(test.rows);
            return { mape: mape(predicted, test.targets), tau: kendallTau(predicted, test.targets) };
          });
          const { user, system } = process.cpuUsage(before);
          const row = {
            set,
            rows: size,
            method,
            seeds,
            mapePercent: Number(median(judged.map((each) => each.mape)).toFixed(3)),
            kendallTau: Number(median(judged.map((each) => each.tau)).toFixed(3)),
            cpuSecondsPerFit: Number(((user + system) / 1e6 / seeds).toFixed(2)),
          };
          log(`${set}, ${size} rows, ${method}: ${row.mapePercent} %, τ ${row.kendallTau}, ${row.cpuSecondsPerFit} s`);
          rows.push(row);
        }
      }
    }
    return { rows, environment: { testRows: TEST } };
  },
};
