// Latencies of the sub-networks of earlier rows, measured again: runs that share a machine say little about time.
import { fullSubnet, measureLatencies, type SubnetConfig } from '@instatune/supernet';
import { TASKS } from './tasks.ts';

interface StoredRow {
  readonly task?: string;
  readonly row?: string;
  readonly layers?: number;
  readonly heads?: readonly number[];
  readonly ffn?: readonly number[];
}

interface Options {
  readonly shared: string;
  readonly rows: readonly StoredRow[];
  readonly emit: (row: Record<string, unknown>) => void;
  readonly signal: AbortSignal;
}

/** Times the full network and each stored sub-network of every task in turns; a latency is one of shapes, not of weights. */
export async function measureAgain({ shared, rows, emit, signal }: Options): Promise<void> {
  for (const task of Object.values(TASKS)) {
    const stored = rows.filter(({ row, task: name }) => row === 'sub-network' && name === task.name);
    if (stored.length === 0) continue;
    const chosen = (values: readonly number[]): number[] => [...new Set(values)].toSorted((a, b) => a - b);
    // A space of just these sub-networks: rows may come from other choices than the task's own.
    const space = {
      layers: chosen(stored.flatMap(({ layers = [] }) => layers)),
      heads: chosen(stored.flatMap(({ heads = [] }) => heads)),
      ffn: chosen(stored.flatMap(({ ffn = [] }) => ffn)),
    };
    const data = await task.open(shared, 0, { ...task.recipe, space });
    const model = await data.loadModel();
    const full = fullSubnet(model.space);
    const subnets = stored.map(({ layers = full.layers, heads = [], ffn = [] }): SubnetConfig => ({
      layers,
      heads: full.heads.map((most, layer) => heads[layer] ?? space.heads[0] ?? most),
      ffn: full.ffn.map((most, layer) => ffn[layer] ?? space.ffn[0] ?? most),
    }));
    const latencies = await measureLatencies(model, [full, ...subnets], {
      ...task.latency,
      repeats: 25,
      warmup: 5,
      signal,
    });
    for (const [index, { medianMs }] of latencies.entries()) {
      const { layers, heads, ffn } = stored[index - 1] ?? full;
      emit({ task: task.name, row: 'latency', layers, heads, ffn, latencyMs: Number(medianMs.toFixed(3)) });
    }
    model.dispose();
  }
}
