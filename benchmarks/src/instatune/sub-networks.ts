// The second half of a study: searches on the super-network, the sub-networks of the table, and those that go on by themselves.
import {
  countParameters,
  fullSubnet,
  measureLatencies,
  type Dataset,
  type ElasticModel,
  type FineTuneOptions,
  type SubnetConfig,
} from '@instatune/supernet';
import { pickByShare, picksToTune, type Pick } from './picks.ts';
import { round, type Rows } from './rows.ts';
import { SubnetSearch, type TacticOutcome } from './search.ts';
import type { Recipe, Task } from './tasks.ts';
import type { Trained } from './kept.ts';
import { tuneByItself } from './tune.ts';

/** What the second half of a study is told. */
export interface SubNetworkOptions {
  readonly task: Task;
  readonly recipe: Recipe;
  readonly superNetwork: ElasticModel;
  readonly train: Dataset;
  readonly search: Dataset;
  readonly report: Dataset;
  readonly rows: Rows;
  /** Seeds of the searches; the first one's LINAS front is the table's. */
  readonly searchSeeds: readonly number[];
  /** Distils a model from the study's teacher. */
  readonly distil: (model: ElasticModel, options: FineTuneOptions, seconds?: number) => Promise<Trained>;
  /** Seconds for the next sub-network by itself. */
  readonly secondsToTune: () => number;
  readonly secondsLeft: () => number;
  readonly log: (line: string) => void;
  readonly signal: AbortSignal;
}

/** No further search begins with less time than this. */
const LEAST_SECONDS = 8;

/** Searches, reports, and fine-tunes the chosen sub-networks on. */
export async function searchAndReport(options: SubNetworkOptions): Promise<void> {
  const { task, recipe, superNetwork, rows, searchSeeds, secondsLeft, log, signal } = options;
  const search = new SubnetSearch(task, superNetwork, options.search);
  const full = search.macs(fullSubnet(superNetwork.space));
  const outcomes: TacticOutcome[] = [];
  let picks: readonly Pick[] = [];
  for (const seed of searchSeeds) {
    for (const tactic of recipe.tactics ?? (['linas', 'nsga2', 'random'] as const)) {
      const outcome = await search.run(tactic, recipe.evaluations, seed, signal);
      outcomes.push(outcome);
      log(
        `${task.name}: ${tactic} seed ${seed}: ${outcome.front.length} on the front, ${search.measured} sub-networks measured`,
      );
    }
    if (seed === searchSeeds[0]) {
      picks = pickByShare(outcomes[0]!.front, full, recipe.shares);
      await reportPicks(options, search, picks, full);
    }
    if (secondsLeft() < LEAST_SECONDS) break;
  }
  if (recipe.fullWidth) await reportFullWidth(options, search, full);
  const volumes = search.hypervolumes(outcomes);
  for (const [index, { tactic, seed, front, seconds }] of outcomes.entries()) {
    rows.emit('search', {
      tactic,
      seed,
      measurements: recipe.evaluations,
      hypervolume: round(volumes[index]!, 5),
      front: front.length,
      seconds: round(seconds, 1),
    });
  }
  for (const { pick, tuning } of picksToTune(picks, recipe.tune ?? [], full)) {
    await tuneByItself(options, pick, full, tuning);
  }
}

/** The same search where every sub-network has all channels: what depth, heads and FFN give without the hidden size. */
async function reportFullWidth(options: SubNetworkOptions, search: SubnetSearch, full: number): Promise<void> {
  const { recipe, superNetwork, report, rows, searchSeeds, signal } = options;
  const { space } = superNetwork;
  const fixed = { ...space, hidden: [superNetwork.config.hiddenSize] };
  const { front } = await search.run('linas', recipe.evaluations, searchSeeds[0] ?? 0, signal, fixed);
  for (const pick of pickByShare(front, full, recipe.shares)) {
    const { subnet } = pick.point;
    const scores = { reported: await rows.score(superNetwork, report, subnet), searched: await search.score(subnet) };
    const parameters = countParameters(superNetwork.config, subnet);
    rows.subNetwork('sub-network of the full hidden size', pick, full, scores, { parameters, ...shapeOf(subnet) });
  }
}

/** What a sub-network consists of, layer by layer. */
function shapeOf({ layers, heads, ffn, hidden, skipAttention, skipFfn }: SubnetConfig): Record<string, unknown> {
  const used = (values: readonly number[]) => values.slice(0, layers);
  const left = (skips: readonly boolean[]) => skips.flatMap((skip, layer) => (skip ? [layer] : []));
  return {
    layers,
    heads: used(heads),
    ffn: used(ffn),
    ...(hidden !== undefined && { hidden }),
    ...(skipAttention && { withoutAttention: left(skipAttention) }),
    ...(skipFfn && { withoutFfn: left(skipFfn) }),
  };
}

/** Sub-networks of the LINAS front, chosen on the search split only, on the reported split, with measured latency. */
async function reportPicks(
  options: SubNetworkOptions,
  search: SubnetSearch,
  picks: readonly Pick[],
  full: number,
): Promise<void> {
  const { task, superNetwork, report, rows, signal } = options;
  const subnets = [fullSubnet(superNetwork.space), ...picks.map(({ point }) => point.subnet)];
  const latencies = await measureLatencies(superNetwork, subnets, { ...task.latency, repeats: 15, warmup: 3, signal });
  const latencyMs = (index: number) => round(latencies[index]!.medianMs, 3);
  rows.emit('full network latency', {
    latencyMs: latencyMs(0),
    latencyBatch: 1,
    ...(task.tokens && { latencyTokens: task.tokens }),
  });
  for (const [index, pick] of picks.entries()) {
    const { subnet } = pick.point;
    const searched = await search.score(subnet);
    const reported = await rows.score(superNetwork, report, subnet);
    rows.subNetwork(
      'sub-network',
      pick,
      full,
      { reported, searched },
      {
        parameters: countParameters(superNetwork.config, subnet),
        latencyMs: latencyMs(index + 1),
        ...shapeOf(subnet),
      },
    );
  }
}
