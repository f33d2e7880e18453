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
  genesToSubnet,
  measureLatencies,
  subnetKey,
  subnetProblem,
  type ElasticModel,
  type SubnetConfig,
} from '@instatune/supernet';
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

/** What the full model costs, and all others are shares of. `latencyMs` is NaN where MACs are the cost. */
export interface FullCost {
  readonly latencyMs: number;
  readonly macs: number;
}

export interface SubnetMeasurements {
  /** Mean next-token loss on the search's validation windows. */
  readonly loss: (subnet: SubnetConfig, signal: AbortSignal) => Promise<number>;
  /** Median milliseconds of one forward pass; absent: MACs are the cost. */
  readonly latency?: (subnet: SubnetConfig, signal: AbortSignal) => Promise<number>;
}

/** The sub-networks of a model as a search problem: what they cost against their loss. */
export function demoProblem(model: ElasticModel, { loss, latency }: SubnetMeasurements): SearchProblem {
  return subnetProblem(model, {
    name: `${model.family} sub-networks`,
    tokens: LATENCY_TOKENS,
    objectives: [latency ? 'latency' : 'macs', 'loss'],
    task: async (_, subnet, { signal }) => ({ loss: await loss(subnet!, signal) }),
    ...(latency && { latency }),
  });
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
  onProgress: (progress: SearchProgress, full: FullCost | undefined) => void,
): Promise<SearchResult> {
  const { evaluations, round, cost } = options.search;
  const loss: SubnetMeasurements['loss'] = (subnet, abort) => lossOf(model, data.validation, { subnet, signal: abort });
  const timer = cost === 'latency' ? await openLatencies(model, state, latencyFile) : undefined;
  const problem = demoProblem(model, { loss, ...(timer && { latency: timer.measure }) });
  const study = state.path('search.db');
  const macs = countMacs(model.config, fullSubnet(model.space), { tokens: LATENCY_TOKENS });
  const fullCost = (): FullCost | undefined => {
    const latencyMs = timer ? timer.fullMs() : NaN;
    return latencyMs === undefined ? undefined : { latencyMs, macs };
  };
  const run = { signal, onProgress: (progress: SearchProgress) => onProgress(progress, fullCost()) };
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
): Promise<{
  readonly measure: NonNullable<SubnetMeasurements['latency']>;
  /** Once something was measured. */
  readonly fullMs: () => number | undefined;
}> {
  const { fineTune, search, seed } = state.options;
  const run = createHash('sha256')
    .update(JSON.stringify({ fineTune, search, seed, backend: tf.getBackend(), cpu: cpus()[0]?.model }))
    .update(state.tokens('train'))
    .digest('hex');
  const stored = parseTable(readIfThere(file));
  const full = fullSubnet(model.space);
  let table: Table | undefined = stored?.run === run ? stored : undefined;
  const measure: NonNullable<SubnetMeasurements['latency']> = async (subnet, signal) => {
    const key = subnetKey(subnet);
    const known = table?.latencies[key];
    if (known !== undefined) return known;
    const { fullMs, shares } = await timeInTurn(model, [subnet], 5, signal);
    table ??= { run, fullMs, latencies: {} };
    const latency = key === subnetKey(full) ? table.fullMs : table.fullMs * shares[0]!;
    table.latencies[key] = latency;
    writeWhole(file, `${JSON.stringify(table, null, 1)}\n`);
    return latency;
  };
  return { measure, fullMs: () => table?.fullMs };
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
 * Times sub-networks in turn with the full model, round by round (f a b … f a b …).
 *
 * @returns the full model's median, and by sub-network the median of its shares of the round's full model: what slows the machine for a
 * while slows a whole round
 */
export async function timeInTurn(
  model: ElasticModel,
  subnets: readonly SubnetConfig[],
  rounds: number,
  signal: AbortSignal,
): Promise<{ readonly fullMs: number; readonly shares: readonly number[] }> {
  const all = [fullSubnet(model.space), ...subnets];
  const times: number[][] = [];
  for (let round = 0; round < rounds; round++) {
    const warmup = round === 0 ? 2 : 0;
    const measured = await measureLatencies(model, all, { ...TIMING, warmup, repeats: 1, signal });
    times.push(measured.map(({ medianMs }) => medianMs));
  }
  return {
    fullMs: median(times.map(([full]) => full!)),
    shares: subnets.map((_, i) => median(times.map((row) => row[i + 1]! / row[0]!))),
  };
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

/** The search's part of the result, and the full model's latency that all its latencies are shares of. */
export async function summarizeSearch(
  model: ElasticModel,
  result: SearchResult,
  cost: Search['cost'],
  seconds: number,
  signal: AbortSignal,
): Promise<{ readonly search: Search; readonly fullMs: number }> {
  const subnets = result.front.map(({ genes }) => genesToSubnet(model.space, genes));
  const known = result.baseline?.['latency'];
  // A search for MACs has timed nothing: the whole front in turn.
  const timed = known === undefined ? await timeInTurn(model, subnets, 5, signal) : undefined;
  const fullMs = known ?? timed!.fullMs;
  const search = {
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
      describeSubnet(model, subnets[i]!, {
        latencyMs: timed && cost !== 'latency' ? fullMs * timed.shares[i]! : values['latency']!,
        loss: values['loss']!,
      }),
    ),
  };
  return { search, fullMs };
}
