// Early stopping on the validation of a super-network: the same search with and without, by images run and by the front that is found.
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { hypervolume } from '@instatune/nsga2';
import { runSearch, TrialStopped, type MeasureContext, type SearchProblem } from '@instatune/search';
import {
  imageClassification,
  loadCheckpoint,
  normalizationOf,
  readCifar,
  subnetProblem,
  subset,
} from '@instatune/supernet';
import { sharedPath } from '@hip/testing';
import { median, type Benchmark } from './benchmark.ts';
import { startBackend } from './instatune/backend.ts';

const STEPS = 16;

/** What a candidate's parts were, measured once, whoever asks: searches differ in what they run, not in what it gives. */
type Parts = Map<string, Record<string, number>[]>;

/** The problem with its parts kept; `run` counts the parts that a search looks at. */
function kept(problem: SearchProblem, parts: Parts, run: { parts: number }): SearchProblem {
  const measure = async (
    genes: readonly number[],
    context: MeasureContext,
  ): Promise<Readonly<Record<string, number>>> => {
    const key = genes.join();
    let known = parts.get(key);
    if (!known) {
      const list: Record<string, number>[] = [];
      const report = async (_: number, values: Readonly<Record<string, number>>): Promise<void> =>
        void list.push({ ...values });
      list.push({ ...(await problem.measure!(genes, { ...context, report })) });
      parts.set(key, (known = list));
    }
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
    const environment = await startBackend('wasm');
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
    const batchSize = count / STEPS;
    const problem = subnetProblem(model, { task: validation, objectives: ['loss', 'macs'], batchSize, steps: STEPS });
    const parts: Parts = new Map();
    const seeds = quick ? 1 : 3;
    const evaluations = quick ? 40 : 120;
    const full = problem.objectives.find(({ name }) => name === 'macs')! as {
      evaluate(genes: readonly number[]): number;
    };
    const reference = [6, 1.01 * full.evaluate(problem.baseline)];
    const rows: Record<string, unknown>[] = [];
    for (const tactic of ['linas', 'nsga2', 'random'] as const) {
      const found: Record<string, { volume: number; work: number; stopped: number }[]> = { whole: [], stopping: [] };
      for (let seed = 0; seed < seeds; seed++) {
        for (const [kind, earlyStopping] of [
          ['whole', false],
          ['stopping', true],
        ] as const) {
          const run = { parts: 0 };
          const options = {
            tactic,
            evaluations,
            seed,
            earlyStopping,
            signal,
            ...(tactic === 'linas' ? {} : { population: 20 }),
          };
          const { front, trials } = await runSearch(kept(problem, parts, run), options);
          const points = front.map(({ values }) => [values['loss']!, values['macs']!]);
          const stopped = trials.filter(({ status }) => status === 'stopped').length;
          found[kind]!.push({
            volume: hypervolume(points, reference),
            work: run.parts / (STEPS * evaluations),
            stopped,
          });
          log(
            `${tactic}, seed ${seed}, ${kind}: work ${round(run.parts / (STEPS * evaluations))}, ${parts.size} sub-networks measured`,
          );
        }
      }
      const ratios = found['stopping']!.map(({ volume }, i) => volume / found['whole']![i]!.volume);
      rows.push({
        tactic,
        seeds,
        evaluations,
        images: count,
        steps: STEPS,
        work: round(median(found['stopping']!.map(({ work }) => work))),
        mostWork: round(Math.max(...found['stopping']!.map(({ work }) => work))),
        stopped: median(found['stopping']!.map(({ stopped }) => stopped)),
        hypervolumeOfWhole: round(median(ratios)),
        worstOfWhole: round(Math.min(...ratios)),
      });
    }
    return { rows, environment };
  },
};
