// Four windows of two books that the goldens hold: how far from dense a prefill is, and a decoder that is fed true tokens.
import { measureFidelity } from '@hip/attention';
import { maskStatistics, type BlockMask } from '@hip/mask-search';
import { fileSource, openSafetensors } from '@hip/checkpoints';
import type { ElasticModel } from '@instatune/supernet';
import type { Named } from './configurations.ts';

export interface Window {
  readonly name: string;
  readonly ids: Int32Array;
  /** −log p of token i + 1 after i, by an independent implementation. */
  readonly losses: Float32Array;
}

/** Every window of the goldens. */
export async function windowsOf(path: string): Promise<Window[]> {
  const file = await openSafetensors(await fileSource(path));
  const names = [...file.tensors.keys()]
    .filter((name) => name.endsWith('.input_ids'))
    .map((name) => name.replace('.input_ids', ''));
  const windows: Window[] = [];
  for (const name of names) {
    const ids = (await file.read(`${name}.input_ids`)).data as Int32Array;
    windows.push({ name, ids, losses: (await file.read(`${name}.nll`)).data as Float32Array });
  }
  await file.close();
  return windows;
}

type Row = Record<string, unknown>;

const round = (value: number, digits = 5): number => Number(value.toPrecision(digits));

/** One row a configuration: the second half of a prefill. */
export async function prefillRows(
  model: ElasticModel,
  { name, ids, losses }: Window,
  tokens: number,
  configurations: readonly Named[],
  chunkTokens: number,
): Promise<Row[]> {
  const text = ids.subarray(0, tokens);
  const found = await measureFidelity(model, text, {
    runs: Object.fromEntries(configurations.map(({ name: run, options }) => [run, options])),
    chunkTokens,
    massRows: 16,
  });
  const { from, perplexity } = found;
  const golden = losses.subarray(from, tokens - 1).reduce((sum, loss) => sum + loss, 0) / (tokens - 1 - from);
  return found.runs.map((run) => ({
    part: 'prefill',
    window: name,
    tokens,
    configuration: run.name,
    perplexityRatio: round(run.perplexityRatio),
    kl: round(run.kl, 4),
    klError: round(run.klError, 2),
    equalArgmax: round(run.equalArgmax, 4),
    keysPerRow: round(run.keysPerRow),
    pseudoKeysPerRow: round(run.pseudoKeysPerRow, 3),
    keysPerRowAllLayers: round(run.keysPerRowAllLayers),
    densePerplexity: round(perplexity),
    goldenPerplexity: round(Math.exp(golden)),
  }));
}

/** One row a configuration: a prompt is read, then `fed` true tokens are fed one at a time through the cache. */
export async function decodeRows(
  model: ElasticModel,
  { name, ids }: Window,
  { prompt, fed, chunkTokens }: { readonly prompt: number; readonly fed: number; readonly chunkTokens: number },
  configurations: readonly Named[],
): Promise<Row[]> {
  const keys = new Map<string, { keys: number; pseudoKeys: number; masks: number }>();
  const counting = ({ name: run, options }: Named): Named['options'] => ({
    ...options,
    onMask(mask: BlockMask) {
      if (mask.queries !== 1) return;
      const { keysPerRow, pseudoKeysPerRow } = maskStatistics(mask);
      const sums = keys.get(run) ?? { keys: 0, pseudoKeys: 0, masks: 0 };
      sums.keys += keysPerRow.mean;
      sums.pseudoKeys += pseudoKeysPerRow.mean;
      sums.masks++;
      keys.set(run, sums);
    },
  });
  const { runs } = await measureFidelity(model, ids.subarray(0, prompt + fed), {
    runs: Object.fromEntries(configurations.map((named) => [named.name, counting(named)])),
    from: prompt,
    decodeFrom: prompt,
    chunkTokens,
    layers: false,
  });
  return runs.map((run) => {
    const counted = keys.get(run.name);
    return {
      part: 'decode',
      window: name,
      tokens: prompt,
      fed,
      configuration: run.name,
      perplexityRatio: round(run.perplexityRatio),
      kl: round(run.kl, 4),
      klError: round(run.klError, 2),
      equalArgmax: round(run.equalArgmax, 4),
      // Of the tokens that searched.
      ...(counted && {
        keysPerRow: round(counted.keys / counted.masks),
        pseudoKeysPerRow: round(counted.pseudoKeys / counted.masks, 3),
      }),
    };
  });
}

/** Mean over the windows, one row a configuration and part. */
export function means(rows: readonly Row[]): Row[] {
  const groups = Map.groupBy(rows, ({ part, tokens, configuration }) => [part, tokens, configuration].join(' '));
  return [...groups.values()].map((group) => {
    const columns = Object.entries(group[0]!).filter(([, value]) => typeof value === 'number');
    const mean = (key: string): number =>
      round(group.reduce((sum, row) => sum + (row[key] as number), 0) / group.length);
    return {
      ...group[0],
      window: `mean of ${group.length}`,
      ...Object.fromEntries(columns.map(([key]) => [key, mean(key)])),
    };
  });
}
