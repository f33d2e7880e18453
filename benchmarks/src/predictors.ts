// Predictors: fit times on 500 rows of 135 features beside other packages, and accuracy on measured networks.
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { join } from 'node:path';
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
import { interleave, median, type Benchmark, type BenchmarkOptions } from './benchmark.ts';

type Row = Record<string, unknown>;
type Fit = (data: DataSet) => (rows: readonly Float64Array[]) => ArrayLike<number>;

const TREES = 200;
/** What ml-random-forest takes minutes for is asked of it in part. */
const FEW_TREES = 20;
const SEEDS = 11;
/** The fixed setting the support vector machines are compared at: features and targets of unit deviation. */
const SVR_SETTING = { cost: 10, epsilon: 0.02, gamma: 0.3 };

const ours = (regressor: Regressor): Fit => {
  return ({ rows, targets }) => {
    const model = regressor.fit(rows, targets);
    return (asked) => model.predict(asked);
  };
};

const FITS: Readonly<Record<string, Fit>> = {
  ridge: ours(ridge()),
  'svr (RBF, 9 settings × 4 folds)': ours(svr()),
  'svr (RBF, fixed)': ours(svr({ ...SVR_SETTING, folds: 0 })),
  'svr (linear, 2 settings × 4 folds)': ours(svr({ kernel: 'linear', epsilon: 0.05 })),
  'gaussianProcess (135 length scales)': ours(gaussianProcess()),
  'gaussianProcess (one length scale)': ours(gaussianProcess({ ard: false })),
  'randomForest (200 trees)': ours(randomForest({ trees: TREES })),
  'randomForest (20 trees)': ours(randomForest({ trees: FEW_TREES })),
  'boostedTrees (300 trees, 4 folds)': ours(boostedTrees()),
  nearestNeighbours: ours(nearestNeighbours()),
  'stacking (ridge, svr, forest; 5 folds)': ours(stacking({ ridge: ridge(), svr: svr(), forest: randomForest() })),
  'auto (5 candidates and their stack, 5 folds)': ours(auto()),
};

interface LibSvm {
  train(rows: readonly (readonly number[])[], targets: readonly number[]): void;
  predict(rows: readonly (readonly number[])[]): number[];
  free(): void;
}

interface LibSvmClass {
  new (options: Readonly<Record<string, unknown>>): LibSvm;
  readonly SVM_TYPES: Readonly<Record<string, string>>;
  readonly KERNEL_TYPES: Readonly<Record<string, string>>;
}

interface Forest {
  train(rows: readonly (readonly number[])[], targets: readonly number[]): void;
  predict(rows: readonly (readonly number[])[]): number[];
}

/** Column means and deviations of the training rows, applied; for the peers that do not do it themselves. */
function standardised(rows: readonly Float64Array[], by: readonly Float64Array[]): number[][] {
  const means = Array.from(by[0]!, (_, k) => by.reduce((sum, row) => sum + row[k]!, 0) / by.length);
  const deviations = means.map(
    (mean, k) => Math.sqrt(by.reduce((sum, row) => sum + (row[k]! - mean) ** 2, 0) / by.length) || 1,
  );
  return rows.map((row) => Array.from(row, (value, k) => (value - means[k]!) / deviations[k]!));
}

async function peers(): Promise<Readonly<Record<string, Fit>>> {
  // The first brings no types, the second none for its constructor's options.
  const SVM = (await createRequire(import.meta.url)('libsvm-js')) as LibSvmClass;
  const { RandomForestRegression } = (await import('ml-random-forest')) as unknown as {
    RandomForestRegression: new (options: object) => Forest;
  };
  return {
    'libsvm-js (RBF, fixed)': (data) => {
      const mean = data.targets.reduce((a, b) => a + b) / data.targets.length;
      const deviation = Math.sqrt(data.targets.reduce((sum, y) => sum + (y - mean) ** 2, 0) / data.targets.length);
      const { cost, epsilon, gamma } = SVR_SETTING;
      const machine = new SVM({
        type: SVM.SVM_TYPES['EPSILON_SVR'],
        kernel: SVM.KERNEL_TYPES['RBF'],
        cost,
        epsilon,
        gamma: gamma / data.rows[0]!.length,
        tolerance: 1e-3,
        quiet: true,
      });
      machine.train(
        standardised(data.rows, data.rows),
        data.targets.map((y) => (y - mean) / deviation),
      );
      return (asked) => machine.predict(standardised(asked, data.rows)).map((value) => mean + deviation * value);
    },
    'ml-random-forest (20 trees)': (data) => {
      const forest = new RandomForestRegression({
        nEstimators: FEW_TREES,
        maxFeatures: 1 / 3,
        replacement: false,
        seed: 1,
      });
      forest.train(
        data.rows.map((row) => Array.from(row)),
        data.targets,
      );
      return (asked) => forest.predict(asked.map((row) => Array.from(row)));
    },
  };
}

function judge(predict: ReturnType<Fit>, test: DataSet): Row {
  const predicted = predict(test.rows);
  return {
    mapePercent: Number(mape(predicted, test.targets).toFixed(3)),
    kendallTau: Number(kendallTau(predicted, test.targets).toFixed(3)),
  };
}

/** Scikit-learn in a process of its own, if $SKLEARN_PYTHON (or python3) has it. */
function scikit(train: DataSet, test: DataSet, log: BenchmarkOptions['log']): Row[] {
  const python = process.env['SKLEARN_PYTHON'] ?? 'python3';
  const plain = ({ rows, targets }: DataSet) => ({ rows: rows.map((row) => Array.from(row)), targets });
  const { status, stdout } = spawnSync(python, [join(import.meta.dirname, 'predictors-scikit.py')], {
    input: JSON.stringify({ train: plain(train), test: plain(test), trees: TREES, ...SVR_SETTING }),
    encoding: 'utf8',
    maxBuffer: 2 ** 26,
  });
  if (status !== 0) {
    log(`${python} has no scikit-learn: its rows are left out (set SKLEARN_PYTHON)`);
    return [{ measure: 'fit 500×135', method: 'scikit-learn', skipped: 'not installed' }];
  }
  const { version, rows } = JSON.parse(stdout) as {
    version: string;
    rows: { method: string; milliseconds: number; predicted: number[] }[];
  };
  return rows.map(({ method, milliseconds, predicted }) => ({
    measure: 'fit 500×135',
    method: `scikit-learn ${version}, ${method}`,
    milliseconds: Number(milliseconds.toFixed(1)),
    mapePercent: Number(mape(predicted, test.targets).toFixed(3)),
    kendallTau: Number(kendallTau(predicted, test.targets).toFixed(3)),
  }));
}

/** Seconds a fit: timed once, by the fit that is judged. */
const SLOW = [
  'stacking (ridge, svr, forest; 5 folds)',
  'auto (5 candidates and their stack, 5 folds)',
  'ml-random-forest (20 trees)',
];

async function times({ quick, log }: BenchmarkOptions, ofa: DataSet): Promise<Row[]> {
  const { train, test } = split(ofa, 500, 1000, 1);
  const all = Object.entries({ ...FITS, ...(await peers()) });
  log('fits of 500×135, interleaved');
  const measured = await interleave(
    Object.fromEntries(all.filter(([name]) => !SLOW.includes(name)).map(([name, fit]) => [name, () => fit(train)])),
    { repeats: quick ? 1 : 5 },
  );
  const rows = all.map(([method, fit]) => {
    const start = performance.now();
    const used = process.cpuUsage();
    const predict = fit(train);
    const { user, system } = process.cpuUsage(used);
    const repeats = measured[method] ?? [performance.now() - start];
    return {
      measure: 'fit 500×135',
      method,
      milliseconds: Number(median(repeats).toFixed(1)),
      fits: repeats.length,
      // Of the last fit, all threads: what is left of a time when the machine is busy.
      cpuMilliseconds: Number(((user + system) / 1000).toFixed(1)),
      ...judge(predict, test),
    };
  });
  return [...rows, ...scikit(train, test, log)];
}

function accuracy({ quick, log, signal }: BenchmarkOptions, ofa: DataSet): Row[] {
  const sets = [
    { data: ofa, name: 'OFA-MobileNetV3 top-1, masked', sizes: [100, 250], test: 1000 },
    { data: readHat('cpu_xeon')!, name: 'HAT Xeon latency', sizes: [250], test: 500 },
    { data: readHat('gpu_titanxp')!, name: 'HAT Titan Xp latency', sizes: [250], test: 500 },
  ];
  const methods = [
    'ridge',
    'svr (RBF, 9 settings × 4 folds)',
    'svr (linear, 2 settings × 4 folds)',
    'gaussianProcess (135 length scales)',
    'randomForest (200 trees)',
  ];
  const seeds = quick ? 3 : SEEDS;
  return sets.flatMap(({ data, name, sizes, test }) =>
    sizes.flatMap((size) =>
      methods.map((method) => {
        log(`${name}, ${size} rows, ${method}`);
        signal.throwIfAborted();
        const results = Array.from({ length: seeds }, (_, seed) => {
          const parts = split(data, size, test, seed);
          return judge(FITS[method]!(parts.train), parts.test);
        });
        const of = (key: string) => Number(median(results.map((result) => result[key] as number)).toFixed(3));
        return {
          measure: name,
          rows: size,
          seeds,
          method: method.replace(' (135 length scales)', ' (one length scale a column)'),
          mapePercent: of('mapePercent'),
          kendallTau: of('kendallTau'),
        };
      }),
    ),
  );
}

export const benchmark: Benchmark = {
  name: 'predictors',
  description: 'Fits of 500×135 beside ml-random-forest, libsvm-js and scikit-learn; accuracy on measured networks',
  async run(options) {
    const ofa = readOfa(true);
    if (!ofa) {
      options.log('no ../shared/data/nas: nothing to measure on');
      return { rows: [] };
    }
    return { rows: [...(await times(options, ofa)), ...accuracy(options, ofa)] };
  },
};
