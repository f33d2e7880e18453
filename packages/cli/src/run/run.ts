// The stages of a run, one after the other; every one of them goes on where it was left.
import * as tf from '@tensorflow/tfjs';
import { resume, runSearch, type SearchResult } from '@instatune/search';
import {
  fullSubnet,
  genesToSubnet,
  loadCheckpoint,
  reorderByImportance,
  type ElasticModel,
  type LossPoint,
  type SubnetConfig,
} from '@instatune/supernet';
import { chooseByBudget, unmet } from '../budget/choose.ts';
import { finalMisses } from '../budget/final.ts';
import { parseBudget } from '../budget/grammar.ts';
import { missOf } from '../budget/nearest.ts';
import { digest } from '../data/digest.ts';
import { TuneError } from '../errors.ts';
import { bytesOf, macsOf, memoryOf, parametersOf, type CostShape } from '../steps/costs.ts';
import { headConfig, readCard, type ModelCard } from '../steps/head.ts';
import { RelativeLatency } from '../steps/latency.ts';
import { qualityOf, type Quality } from '../steps/quality.ts';
import { subnetProblem } from '../steps/search.ts';
import { resolveSettings, type ResolvedSettings } from '../steps/settings.ts';
import { withCalibration } from './calibration.ts';
import { Journal } from './journal.ts';
import { plainLocation } from './keys.ts';
import type { TuneFindings, TuneOptions, TuneOutcome } from './outcome.ts';
import type { RunRecord } from './record.ts';
import { refine } from './refine.ts';
import { memoryRun } from './store.ts';

const FINAL_REPEATS = 25;

/** One run, stage by stage; what a stage needs of those before it is in its store or in memory. */
export class Run {
  readonly #options: TuneOptions;
  readonly #journal: Journal;
  #card!: ModelCard;
  #settings!: ResolvedSettings;
  #costs!: CostShape;
  #super: ElasticModel | undefined;
  #small: ElasticModel | undefined;
  #training: readonly LossPoint[] = [];
  #refining: readonly LossPoint[] = [];
  #result!: SearchResult;
  #choice!: ReturnType<typeof chooseByBudget>;
  #subnet!: SubnetConfig;
  #searched!: Quality;

  constructor(options: TuneOptions) {
    this.#options = options;
    this.#journal = new Journal(options.store ?? memoryRun(), options.onProgress);
  }

  async load(): Promise<void> {
    const { model, data, settings: given, signal } = this.#options;
    const start = performance.now();
    const progress = ({ loaded, total }: { readonly loaded: number; readonly total: number }) =>
      this.#journal.tell('load', loaded, total);
    this.#journal.tell('load', 0, 0);
    this.#card = this.#options.card ?? (await readCard(model));
    const config = headConfig(this.#card, data.task, data.classes, data.problem);
    const kept = await this.#journal.store.start();
    const space = given.space ?? {};
    const loaded = await loadCheckpoint(kept ?? model, {
      ...(kept === undefined && { config, newHeadSeed: 1 + (given.seed ?? 0) }),
      space,
      signal,
      onProgress: progress,
    });
    this.#super = loaded.model;
    this.#settings = resolveSettings(given, data, loaded.config.hiddenSize);
    const { steps, batchSize, learningRate, objectives, population, quantize, seed } = this.#settings;
    const { runner } = this.#options;
    const keysAt = async (location: string): Promise<RunRecord['keys']> => {
      const load = await digest([location, config, space, seed, data.fingerprint]);
      const train = await digest([load, steps, batchSize, learningRate]);
      const search = await digest([train, objectives, population, quantize, ...(runner ? [runner.name] : [])]);
      return { load, train, search };
    };
    const { location } = this.#card;
    const keys = await keysAt(plainLocation(location));
    // Records of before locations had one spelling have the model's as it was typed.
    await this.#journal.open(keys, loaded.newWeights, await keysAt(location));
    this.#costs = { tokens: data.tokens, quantize };
    if (kept === undefined) {
      await this.#reorder();
      await this.#journal.store.saveStart(this.#super);
    }
    await this.#journal.finish('load', start);
  }

  async train(): Promise<void> {
    const { steps } = this.#settings;
    const { data, signal } = this.#options;
    const options = { data: data.train, settings: this.#settings, strategy: 'instatune', steps, signal } as const;
    this.#training = await this.#journal.train('train', this.#super!, 'super-network', options);
  }

  async search(): Promise<void> {
    const { data, signal } = this.#options;
    const { objectives, evaluations, population, seed } = this.#settings;
    const start = performance.now();
    this.#journal.tell('search', 0, evaluations);
    const model = this.#super!;
    await using latency = this.#latency(model);
    if (objectives.includes('latency') && this.#journal.record.fullLatency === undefined) {
      const fullLatency = await latency.of(fullSubnet(model.space), signal);
      await this.#journal.note({ fullLatency });
    }
    const problem = subnetProblem({ model, data, objectives, costs: this.#costs, latency });
    const run = {
      signal,
      onProgress: ({
        evaluations: done,
        budget,
        frontSize,
        etaMs,
      }: Parameters<NonNullable<Parameters<typeof resume>[1]['onProgress']>>[0]) =>
        this.#journal.tell(
          'search',
          done,
          budget,
          etaMs === undefined ? undefined : etaMs / 1000,
          `front ${frontSize}`,
        ),
    };
    const study = this.#journal.store.study;
    this.#result =
      study && (await study.exists())
        ? await resume(problem, { ...run, study: study.path, evaluations })
        : await runSearch(problem, { ...run, evaluations, population, seed, ...(study && { study: study.path }) });
    await this.#journal.finish('search', start);
  }

  async choose(): Promise<void> {
    const { budget, optimize } = this.#settings;
    this.#journal.tell('choose', 0, 0);
    try {
      this.#choice = chooseByBudget(this.#result, parseBudget(budget), optimize ?? undefined);
    } catch (error) {
      throw this.#withFindings(error);
    }
    const { genes, number } = this.#choice.point;
    this.#subnet = genesToSubnet(this.#super!.space, genes);
    const key = await digest([this.#journal.record.keys.search, genes]);
    // Another choice: what the last one was fine-tuned on by itself is nobody's any more.
    if (this.#journal.record.chosen && this.#journal.record.chosen.key !== key)
      await this.#journal.store.forget('refine');
    await this.#journal.note({ chosen: { key, genes: [...genes], number } });
  }

  async refine(): Promise<void> {
    const { data, signal } = this.#options;
    const options = { data, settings: this.#settings, model: this.#super!, subnet: this.#subnet, signal };
    const { model, history, values } = await refine(this.#journal, options);
    [this.#small, this.#refining, this.#searched] = [model, history, values];
    const { bounds, point, open } = this.#choice;
    const all = { ...point.values, ...values };
    if (open.some((bound) => missOf(bound, all) > 0)) throw this.#withFindings(unmet({ point, values: all }, bounds));
  }

  async measure(): Promise<TuneOutcome> {
    const { data, signal } = this.#options;
    const start = performance.now();
    const [model, small] = [this.#super!, this.#small!];
    const key = await digest([this.#journal.record.refined?.key, data.fingerprint]);
    const { measured } = this.#journal.record;
    if (measured?.key !== key) {
      const total = 2 * data.report.length;
      const quality = (network: ElasticModel, from: number) =>
        qualityOf(network, data.report, data, {
          signal,
          onProgress: ({ examples }) => this.#journal.tell('measure', from + examples, total),
        });
      const [full, own] = [await quality(model, 0), await quality(small, data.report.length)];
      await using ratio = this.#latency(model);
      const latency = await ratio.of(this.#subnet, signal, FINAL_REPEATS);
      const costs = (subnet: SubnetConfig | undefined) => ({
        macs: macsOf(model, subnet, this.#costs),
        parameters: parametersOf(model, subnet),
        bytes: bytesOf(model, subnet, this.#costs),
        memory: memoryOf(model, subnet, this.#costs),
      });
      await this.#journal.note({
        measured: {
          key,
          full: { ...full, latency: ratio.full!, ...costs(undefined) },
          small: { ...own, latency, ...costs(this.#subnet) },
        },
      });
    }
    await this.#journal.finish('measure', start);
    this.#small = undefined; // the caller's now
    const findings = this.#findings();
    const { full, small: own } = this.#journal.record.measured!;
    return {
      ...findings,
      choice: this.#choice,
      subnet: this.#subnet,
      fullSubnet: fullSubnet(model.space),
      refining: this.#refining,
      reconstructed: this.#journal.record.reconstructed,
      refined: this.#journal.record.refined!.kept,
      searched: this.#searched,
      full,
      small: own,
      missed: finalMisses({ settings: findings.settings, full, small: own }),
      model: small,
    };
  }

  dispose(): void {
    this.#super?.dispose();
    this.#small?.dispose();
  }

  #latency(model: ElasticModel): RelativeLatency {
    const { data, runner } = this.#options;
    return new RelativeLatency(model, { tokens: data.tokens, full: this.#journal.record.fullLatency, runner });
  }

  #findings(): TuneFindings {
    return {
      card: this.#card,
      data: this.#options.data,
      settings: this.#settings,
      training: this.#training,
      result: this.#result,
      newWeights: this.#journal.record.newWeights ?? [],
      backend: tf.getBackend(),
      runtime: this.#options.runner?.name ?? `tfjs ${tf.getBackend()}`,
      seconds: this.#journal.record.seconds,
    };
  }

  /** An unmet budget with all that a report of it shows. */
  #withFindings(error: unknown): unknown {
    if (!(error instanceof TuneError && error.code === 'unmet-budget')) return error;
    return new TuneError(error.code, error.message, { ...error.details, findings: this.#findings() });
  }

  /** Heads, units and, where they are searched, channels by importance, from training data only; the full network's function does not change. */
  async #reorder(): Promise<void> {
    const { signal, settings, data } = this.#options;
    const axes = ['heads', 'ffn', ...(settings.space?.hidden ? (['hidden'] as const) : [])] as const;
    await withCalibration(data.train, async (batches) => {
      await reorderByImportance(this.#super!, { criterion: 'activation', batches, axes, signal });
    });
  }
}
