// The search: sub-networks of the fine-tuned super-network that are Pareto-optimal for validation loss and cost on this machine.
import { existsSync, rmSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { cpus } from 'node:os';
import * as tf from '@tensorflow/tfjs';
import * as v from 'valibot';
import { denseModelAttention } from '@hip/attention';
import {
  countMacs,
  countParameters,
  fullSubnet,
  geneCardinalities,
  genesToSubnet,
  measureLatencies,
  subnetKey,
  subnetToGenes,
  usedGenes,
  type ElasticModel,
  type Latency,
  type SubnetConfig,
} from '@instatune/supernet';
import { integer } from '@instatune/nsga2';
import {
  linas,
  resume,
  runSearch,
  SearchError,
  type SearchProblem,
  type SearchProgress,
  type SearchResult,
} from '@instatune/search';
import { DemoError } from './errors.ts';
import { readIfThere, writeWhole } from './files.ts';
import { lossOf, type TrainingData } from './fine-tune.ts';
import type { DemoOptions } from './options.ts';
import type { Search, Subnetwork } from './result.ts';
import type { RunState } from './state.ts';

/** Tokens of the sequence whose MACs and latency are compared. */
export const LATENCY_TOKENS = 256;

/** How a sub-network is timed: as the standalone model it would be, with the attention it would run with at that length. */
const TIMING = { sequence: LATENCY_TOKENS, attention: denseModelAttention() } as const;

export interface SubnetMeasurements {
  /** Mean next-token loss on the search's validation windows. */
  readonly loss: (subnet: SubnetConfig, signal: AbortSignal) => Promise<number>;
  /** Median milliseconds of one forward pass; absent: MACs are the cost. */
  readonly latency?: (subnet: SubnetConfig, signal: AbortSignal) => Promise<number>;
}

/** The sub-networks of a model as a search problem. Genes are indices into the space's choices. */
export function subnetProblem(model: ElasticModel, measurements: SubnetMeasurements): SearchProblem {
  const { space, config } = model;
  const subnetOf = (genes: readonly number[]): SubnetConfig => genesToSubnet(space, genes);
  const macs = (genes: readonly number[]): number => countMacs(config, subnetOf(genes), { tokens: LATENCY_TOKENS });
  const parameters = {
    name: 'parameters',
    evaluate: (genes: readonly number[]) => countParameters(config, subnetOf(genes)),
  };
  const { loss, latency } = measurements;
  return {
    name: `${model.family} sub-networks`,
    space: geneCardinalities(space).map((count) => integer(0, count - 1)),
    objectives: [
      latency ? { name: 'latency', kind: 'measured', unit: 'ms' } : { name: 'macs', kind: 'exact', evaluate: macs },
      { name: 'loss', kind: 'measured', unit: 'nats' },
    ],
    attributes: latency ? [{ name: 'macs', evaluate: macs }, parameters] : [parameters],
    measure: async (genes, { signal }) => {
      const subnet = subnetOf(genes);
      return { ...(latency && { latency: await latency(subnet, signal) }), loss: await loss(subnet, signal) };
    },
    active: (genes) => usedGenes(space, genes),
    baseline: subnetToGenes(space, fullSubnet(space)),
    describe: (genes) => ({ ...subnetOf(genes) }),
  };
}

/**
 * LINAS over (cost, validation loss). A search that was interrupted goes on from its study file. Latencies are kept in
 * `latencyFile`: a later run with the same seed, options and text reads them, and so proposes the same candidates.
 */
export async function searchSubnets(
  model: ElasticModel,
  data: TrainingData,
  options: DemoOptions,
  state: RunState,
  latencyFile: string,
  signal: AbortSignal,
  onProgress: (progress: SearchProgress) => void,
): Promise<SearchResult> {
  const { evaluations, round, cost } = options.search;
  const loss: SubnetMeasurements['loss'] = (subnet, abort) => lossOf(model, data.validation, { subnet, signal: abort });
  const timer = cost === 'latency' ? await openLatencies(model, state, latencyFile) : undefined;
  const problem = subnetProblem(model, { loss, ...(timer && { latency: timer }) });
  const study = state.path('search.db');
  const run = { signal, onProgress };
  try {
    if (existsSync(study)) return await resume(problem, { ...run, study });
    // A kill while the file was being made leaves it without a study.
  } catch (error) {
    if (!(error instanceof SearchError) || error.code !== 'study-missing') throw wrap(error, study);
    for (const suffix of ['', '-wal', '-shm']) rmSync(`${study}${suffix}`, { force: true });
  }
  return runSearch(problem, { ...run, study, tactic: linas({ population: round }), evaluations, seed: options.seed });
}

function wrap(error: unknown, study: string): unknown {
  if (error instanceof SearchError && ['corrupt-study', 'space-mismatch', 'wrong-schema'].includes(error.code)) {
    return new DemoError('corrupt-state', `${study} cannot be used (${error.message}): start over without --resume`, {
      cause: error,
    });
  }
  return error;
}

const tableSchema = v.object({ run: v.string(), fullMs: v.number(), latencies: v.record(v.string(), v.number()) });
type Table = v.InferOutput<typeof tableSchema>;

/**
 * Latencies by sub-network, each measured once. Every sub-network is timed in turn with the full model, and its share of the full
 * model's time counts: a machine that is busy or hot for a while slows both. The full model's own latency is that of the first time.
 */
async function openLatencies(
  model: ElasticModel,
  state: RunState,
  file: string,
): Promise<NonNullable<SubnetMeasurements['latency']>> {
  const { fineTune, search, seed } = state.options;
  const run = createHash('sha256')
    .update(JSON.stringify({ fineTune, search, seed, backend: tf.getBackend(), cpu: cpus()[0]?.model }))
    .update(state.tokens('train'))
    .digest('hex');
  const stored = parseTable(readIfThere(file));
  const full = fullSubnet(model.space);
  let table: Table | undefined = stored?.run === run ? stored : undefined;
  return async (subnet, signal) => {
    const key = subnetKey(subnet);
    const known = table?.latencies[key];
    if (known !== undefined) return known;
    const { fullMs, share } = await timeInTurn(model, subnet, 5, signal);
    table ??= { run, fullMs, latencies: {} };
    const latency = key === subnetKey(full) ? table.fullMs : table.fullMs * share;
    table.latencies[key] = latency;
    writeWhole(file, `${JSON.stringify(table, null, 1)}\n`);
    return latency;
  };
}

/** A table that cannot be read is measured again. */
function parseTable(text: string | undefined): Table | undefined {
  try {
    const parsed = v.safeParse(tableSchema, JSON.parse(text ?? ''));
    return parsed.success ? parsed.output : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Times a sub-network in turn with the full model (f s f s …).
 *
 * @returns the full model's median, and the median of the pairs' ratios: what slows the machine for a while slows both of a pair
 */
export async function timeInTurn(
  model: ElasticModel,
  subnet: SubnetConfig,
  pairs: number,
  signal: AbortSignal,
): Promise<{ readonly fullMs: number; readonly share: number }> {
  const both = [fullSubnet(model.space), subnet];
  const times: (readonly [full: number, subnet: number])[] = [];
  for (let pair = 0; pair < pairs; pair++) {
    const warmup = pair === 0 ? 2 : 0;
    const [full, sub] = (await measureLatencies(model, both, { ...TIMING, warmup, repeats: 1, signal })) as [
      Latency,
      Latency,
    ];
    times.push([full.medianMs, sub.medianMs]);
  }
  return { fullMs: median(times.map(([full]) => full)), share: median(times.map(([full, sub]) => sub / full)) };
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** A sub-network with its numbers. */
export function describeSubnet(
  model: ElasticModel,
  subnet: SubnetConfig,
  measured: { readonly latencyMs: number; readonly loss: number },
): Subnetwork {
  return {
    layers: subnet.layers,
    heads: subnet.heads.slice(0, subnet.layers),
    ffn: subnet.ffn.slice(0, subnet.layers),
    macs: countMacs(model.config, subnet, { tokens: LATENCY_TOKENS }),
    parameters: countParameters(model.config, subnet),
    ...measured,
  };
}

/** The search's part of the result. */
export async function summarizeSearch(
  model: ElasticModel,
  result: SearchResult,
  cost: Search['cost'],
  seconds: number,
  signal: AbortSignal,
): Promise<Search> {
  const subnets = result.front.map(({ genes }) => genesToSubnet(model.space, genes));
  const timed: number[] = [];
  for (const subnet of cost === 'latency' ? [] : subnets) {
    const { fullMs, share } = await timeInTurn(model, subnet, 3, signal);
    timed.push(fullMs * share);
  }
  return {
    evaluations: result.trials.length,
    hypervolume: result.hypervolume,
    seconds,
    cost,
    history: result.history.map(({ evaluations, hypervolume }) => ({ evaluations, hypervolume })),
    trials: result.trials.flatMap(({ values }) =>
      values === undefined
        ? []
        : [
            {
              ...(values['latency'] !== undefined && { latencyMs: values['latency'] }),
              macs: values['macs']!,
              loss: values['loss']!,
            },
          ],
    ),
    front: result.front.map(({ values }, i) =>
      describeSubnet(model, subnets[i]!, { latencyMs: timed[i] ?? values['latency']!, loss: values['loss']! }),
    ),
  };
}
