// Early stopping on the validation of a super-network: the same search with and without, by images run and by the front that is found.
import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { hypervolume } from '@instatune/nsga2';
import {
  runSearch,
  TrialStopped,
  type MeasureContext,
  type SearchProblem,
  type TacticName,
  type Trial,
} from '@instatune/search';
import {
  exportOnnx,
  imageClassification,
  loadCheckpoint,
  normalizationOf,
  readCifar,
  sequentialBatches,
  subnetProblem,
  subset,
  type Dataset,
  type ElasticModel,
  type SubnetConfig,
} from '@instatune/supernet';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { sharedPath } from '@hip/testing';
import { median, type Benchmark } from './benchmark.ts';

const STEPS = 16;

/** What a candidate's parts were, measured once, whoever asks: searches differ in what they run, not in what it gives. */
class Parts {
  readonly #known = new Map<string, Record<string, number>[]>();
  readonly #path: string | undefined;

  /** @param path where they are kept, a line each: a run that ends early is gone on with */
  constructor(path: string | undefined) {
    this.#path = path;
    const lines = path && existsSync(path) ? readFileSync(path, 'utf8').split('\n').filter(Boolean) : [];
    for (const line of lines) {
      const { key, list } = JSON.parse(line) as { key: string; list: Record<string, number>[] };
      this.#known.set(key, list);
    }
  }

  get size(): number {
    return this.#known.size;
  }

  async of(key: string, measure: () => Promise<Record<string, number>[]>): Promise<Record<string, number>[]> {
    const known = this.#known.get(key);
    if (known) return known;
    const list = await measure();
    this.#known.set(key, list);
    if (this.#path) appendFileSync(this.#path, `${JSON.stringify({ key, list })}\n`);
    return list;
  }
}

/** Mean loss over the first parts, for 1, 2, … of them: the sub-network's exported file in onnxruntime, on one thread, which takes a quarter of tfjs' time. */
async function lossesOf(model: ElasticModel, subnet: SubnetConfig, data: Dataset): Promise<Record<string, number>[]> {
  const session = await InferenceSession.create(await exportOnnx(model, subnet), {
    intraOpNumThreads: 1,
    logSeverityLevel: 3,
  });
  try {
    const list: Record<string, number>[] = [];
    let sum = 0;
    let count = 0;
    for await (const { pixelValues, labels } of sequentialBatches(data, data.length / STEPS)) {
      const pixels = new Tensor('float32', pixelValues!.data, [...pixelValues!.shape]);
      const { logits } = await session.run({ pixel_values: pixels });
      const scores = logits!.data as Float32Array;
      const classes = scores.length / labels.length;
      labels.forEach((label, row) => {
        const own = scores.subarray(row * classes, (row + 1) * classes);
        const most = Math.max(...own);
        sum += most + Math.log(own.reduce((total, score) => total + Math.exp(score - most), 0)) - own[label]!;
      });
      count += labels.length;
      list.push({ loss: sum / count });
    }
    return list;
  } finally {
    await session.release();
  }
}

/** The problem with its parts kept; `run` counts the parts that a search looks at. */
function kept(problem: SearchProblem, parts: Parts, run: { parts: number }, losses: Losses): SearchProblem {
  const measure = async (
    genes: readonly number[],
    context: MeasureContext,
  ): Promise<Readonly<Record<string, number>>> => {
    const known = await parts.of(genes.join(), () => losses(genes));
    for (const [index, values] of known.entries()) {
      run.parts++;
      if (index + 1 === known.length) return values;
      try {
        await context.report(index + 1, values);
      } catch (error) {
        if (error instanceof TrialStopped) break;
        throw error;
      }
    }
    return known.at(-1)!;
  };
  return { ...problem, measure };
}

interface Found {
  readonly trials: readonly Trial[];
  readonly work: number;
}

const pointsOf = ({ status, values }: Trial): number[][] =>
  status === 'complete' ? [[values!['loss']!, values!['macs']!]] : [];

/** Whether something measured in earlier rounds is nowhere worse than a trial (equal too): all that a rule of domination could have saved. */
const isDominated = (trial: Trial, trials: readonly Trial[]): boolean =>
  pointsOf(trial).some(([loss, macs]) =>
    trials
      .filter(({ round: other }) => other < trial.round)
      .flatMap(pointsOf)
      .some(([otherLoss, otherMacs]) => otherLoss! <= loss! && otherMacs! <= macs!),
  );

type Losses = (genes: readonly number[]) => Promise<Record<string, number>[]>;

const round = (value: number): number => Number(value.toFixed(4));

export const benchmark: Benchmark = {
  name: 'early-stopping',
  description: 'super-network validation with trials that end at rungs where others dominate them: work and fronts',
  async run({ quick, log, signal }) {
    const folder = sharedPath('models', 'vit-cifar');
    const data = sharedPath('data', 'cifar10');
    if (!folder || !data) {
      log('no ../shared/models/vit-cifar and data/cifar10: nothing to validate');
      return { rows: [] };
    }
    const space = { layers: [6, 7, 8, 9], heads: [2, 3, 4, 6], ffn: [192, 384, 576, 768] };
    const { model } = await loadCheckpoint(folder, { space });
    const settings = JSON.parse(readFileSync(`${folder}/preprocessor_config.json`, 'utf8')) as Record<string, unknown>;
    const normalize = normalizationOf(settings);
    const images = imageClassification(readCifar(gunzipSync(readFileSync(`${data}/test_first1000.bin.gz`))), {
      ...(normalize && { normalize }),
    });
    const count = quick ? 64 : 256;
    const validation = subset(
      images,
      Array.from({ length: count }, (_, i) => i),
    );
    const problem = subnetProblem(model, { task: validation, objectives: ['loss', 'macs'], steps: STEPS });
    const losses: Losses = (genes) => lossesOf(model, problem.subnet(genes), validation);
    const parts = new Parts(quick ? undefined : process.env['HIP_STOPPING_KEEP']);
    const seeds = quick ? 1 : 3;
    const evaluations = quick ? 40 : 120;
    const full = problem.objectives.find(({ name }) => name === 'macs')! as {
      evaluate(genes: readonly number[]): number;
    };
    const reference = [6, 1.01 * full.evaluate(problem.baseline)];
    const rows: Record<string, unknown>[] = [];
    // HIP_STOPPING_TACTICS: fewer of them, for a machine with little time.
    const tactics = (process.env['HIP_STOPPING_TACTICS'] ?? 'linas,nsga2,random').split(',') as TacticName[];
    for (const tactic of tactics) {
      const found: Record<'whole' | 'stopping', Found[]> = { whole: [], stopping: [] };
      for (let seed = 0; seed < seeds; seed++) {
        for (const kind of ['whole', 'stopping'] as const) {
          const run = { parts: 0 };
          const options = {
            tactic,
            evaluations,
            seed,
            earlyStopping: kind === 'stopping',
            signal,
            ...(tactic === 'linas' ? {} : { population: 20 }),
          };
          const { trials } = await runSearch(kept(problem, parts, run, losses), options);
          const work = run.parts / (STEPS * evaluations);
          found[kind].push({ trials, work });
          log(`${tactic}, seed ${seed}, ${kind}: work ${round(work)}, ${parts.size} sub-networks measured`);
        }
      }
      const volumeOf = (trials: readonly Trial[]): number => hypervolume(trials.flatMap(pointsOf), reference);
      const pairs = found.whole.map(({ trials }, i) => {
        const { trials: others, work } = found.stopping[i]!;
        return {
          front: volumeOf(others) / volumeOf(trials),
          // What the work would have bought without stopping.
          cut: volumeOf(trials.slice(0, Math.round(work * evaluations))) / volumeOf(trials),
          stopped: others.filter(({ status }) => status === 'stopped').length,
          dominated: trials.filter((trial) => isDominated(trial, trials)).length,
          work,
        };
      });
      const middle = (key: keyof (typeof pairs)[number]): number => median(pairs.map((pair) => pair[key]));
      rows.push({
        tactic,
        seeds,
        evaluations,
        images: count,
        steps: STEPS,
        dominated: middle('dominated'),
        stopped: middle('stopped'),
        work: round(middle('work')),
        mostWork: round(Math.max(...pairs.map(({ work }) => work))),
        hypervolumeOfWhole: round(middle('front')),
        worstOfWhole: round(Math.min(...pairs.map(({ front }) => front))),
        hypervolumeAtSameWork: round(middle('cut')),
      });
    }
    return { rows };
  },
};
