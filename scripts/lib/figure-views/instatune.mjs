// Super-networks and what was searched in them.
import { mean, percent, thousands, times, view, where } from './view.mjs';

/** Searches of InstaTune with their seeds together. */
function searches(document) {
  const groups = new Map();
  for (const { task, tactic, measurements, hypervolume, front } of where(document, { row: 'search' })) {
    const key = `${task} ${tactic}`;
    const group = groups.get(key) ?? { task, tactic, measurements, volumes: [], fronts: [] };
    groups.set(key, group);
    group.volumes.push(hypervolume);
    group.fronts.push(front);
  }
  return [...groups.values()];
}

export const instatune = [
  {
    name: 'instatune-known',
    title: 'InstaTune on known models (stopped by the clock)',
    tables: (document) => {
      const networks = document.rows.filter(({ row }) =>
        /fine-tune|KD-only|super-network|sub-network|prefix/.test(row),
      );
      return [
        view(
          'Networks on the reported split',
          networks.filter(({ what }) => !what),
          {
            task: 'task',
            run: 'run',
            seed: 'seed',
            network: 'row',
            steps: 'steps',
            'fewer MACs': ({ fewerMacs, share }) => percent(fewerMacs ?? (share && 1 - share)),
            accuracy: ({ accuracy }) => percent(accuracy),
            loss: 'loss',
            perplexity: 'perplexity',
            'against plain, relative': ({ againstPlain }) => percent(againstPlain),
            'standard error': ({ againstPlainError }) => percent(againstPlainError),
            'rank correlation': 'spearman',
            'ten nearest, overlap': 'overlap',
          },
        ),
        view(
          'Three seeds of a run: mean and spread, and the mean difference over the same examples',
          where(document, { row: 'over seeds' }),
          {
            task: 'task',
            run: 'run',
            network: 'what',
            steps: ({ steps }) => steps.join(', '),
            'fewer MACs': ({ fewerMacs }) => fewerMacs?.map(percent).join(', '),
            mean: ({ mean }) => percent(mean),
            spread: ({ spread }) => percent(spread),
            'against its own plain': ({ againstPlain }) => percent(againstPlain),
            '95 % interval': ({ interval }) => interval?.map(percent).join(' to '),
            'against run a’s plain': ({ againstPlainOfA }) => percent(againstPlainOfA),
          },
        ),
        view(
          'Plain fine-tuning on SST-2, swept in JAX: two or three seeds a row',
          where(document, { row: 'sweep', task: 'SST-2, MiniLM' }),
          {
            'learning rate': 'learningRate',
            'drop-out': 'dropout',
            'rate of a layer, of the next': 'layerDecay',
            pooling: 'pooling',
            steps: 'steps',
            average: 'average',
            and: 'more',
            dev: ({ accuracy }) => accuracy.map(percent).join(', '),
            'held out': ({ heldOut }) => heldOut.map(percent).join(', '),
          },
        ),
        view(
          'Sub-networks of the sentence encoder as they are cut, swept in JAX over 1,500 steps',
          where(document, { row: 'sweep', task: 'sentence embeddings' }),
          {
            'fewer MACs': ({ share }) => percent(1 - share),
            layers: 'layers',
            heads: 'heads',
            'FFN units': 'ffn',
            'learning rate': 'learningRate',
            'of hidden states': 'hiddenStates',
            'of similarities': 'similarities',
            texts: 'texts',
            'rank correlation': 'spearman',
            'ten nearest, overlap': 'overlap',
          },
        ),
        view('Products on the matrix units, 4,096 in each extent', where(document, { row: 'mixed products' }), {
          product: 'way',
          'GFLOP/s': 'gflops',
          'relative error': 'error',
        }),
        view('Throughput', where(document, { row: 'throughput' }), {
          model: 'model',
          what: 'what',
          'tokens a second': 'tokensPerSecond',
          "share of tfjs' products": ({ shareOfPeak }) => percent(shareOfPeak),
        }),
      ];
    },
  },
  {
    name: 'instatune',
    title: 'InstaTune',
    tables: (document) => {
      const networks = (task) =>
        document.rows.filter(
          (row) =>
            row.task === task &&
            !row.recipe &&
            (row.macs !== undefined || row.row === 'teacher') &&
            row.row !== 'search',
        );
      const full = (task) => networks(task)[0]?.macs;
      // A teacher of other weights is no larger or smaller version of the task's network.
      const isOther = (task, weights) => weights !== undefined && weights !== networks(task)[0]?.weights;
      const latency = (task) => where(document, { task, row: 'full network latency' })[0]?.latencyMs;
      const tasks = [...new Set(document.rows.flatMap((row) => (row.task ? [row.task] : [])))];
      const network = ({ row, bestWithin, learningRate, models }) => {
        if (row === 'teacher') return models > 1 ? `the teacher, mean of ${models} networks` : 'the teacher';
        if (!bestWithin) return `${row} (${learningRate})`;
        const name = `best within ${Math.round(100 * bestWithin)} % of the MACs`;
        return row === 'sub-network' ? name : `${name}, fine-tuned on`;
      };
      const quality = {
        'accuracy (%)': ({ accuracy }) => accuracy && Number((100 * accuracy).toPrecision(4)),
        loss: 'loss',
        'against plain': ({ againstPlain, againstPlainError: error }) =>
          againstPlain === undefined
            ? undefined
            : `${(100 * againstPlain).toFixed(1)}${error === undefined ? '' : ` ± ${(100 * error).toFixed(1)}`} %`,
      };
      return [
        ...tasks.map((task) =>
          view(`${task}: ${networks(task)[0]?.weights}, reported on ${networks(task)[0]?.reported}`, networks(task), {
            network,
            ...quality,
            'MACs (M)': ({ macs }) => macs && Number((macs / 1e6).toPrecision(4)),
            fewer: ({ macs, weights }) => (isOther(task, weights) ? undefined : macs && percent(1 - macs / full(task))),
            'parameters (M)': ({ parameters }) => parameters && Number((parameters / 1e6).toPrecision(3)),
            'latency (ms)': ({ latencyMs, bestWithin, macs, weights }) =>
              latencyMs ??
              (bestWithin
                ? networks(task).find((row) => row.macs === macs && row.latencyMs)?.latencyMs
                : isOther(task, weights)
                  ? undefined
                  : macs && latency(task)),
            steps: 'steps',
            'ms a step': 'msPerStep',
            'time against plain': ({ timeAgainstPlain }) => times(timeAgainstPlain),
          }),
        ),
        view(
          'Tried beside',
          document.rows.filter(({ recipe }) => recipe),
          {
            task: 'task',
            recipe: 'recipe',
            network,
            ...quality,
            'fewer MACs': ({ fewerMacs }) => percent(fewerMacs),
            steps: 'steps',
          },
        ),
        view('Search: hypervolume at equal measurements', searches(document), {
          task: 'task',
          tactic: 'tactic',
          measurements: 'measurements',
          'mean hypervolume': ({ volumes }) => mean(volumes).toPrecision(4),
          'of seeds': ({ volumes }) => volumes.join(', '),
          'on the front': ({ fronts }) => fronts.join(', '),
        }),
        view('Throughput', where(document, { row: 'throughput' }), {
          backend: 'backend',
          model: 'model',
          what: 'what',
          batch: 'batch',
          length: 'length',
          'tokens a second': 'tokensPerSecond',
          'GFLOP/s': 'gflops',
          "of the backend's matmul peak": ({ shareOfPeak }) => percent(shareOfPeak),
          'time of plain steps': ({ timeAgainstPlain }) => times(timeAgainstPlain),
        }),
      ].filter(({ rows }) => rows.length > 0);
    },
  },
  {
    name: 'adapters',
    title: 'Adapters instead of weights',
    tables: (document) => [
      view('Plain fine-tuning on tfjs-wasm, one seed: what is trained, held and saved', document.rows, {
        task: 'task',
        trains: 'trains',
        steps: 'steps',
        parameters: ({ parameters }) => thousands(parameters),
        'of the network': ({ shareOfParameters }) => percent(shareOfParameters),
        'held beside the network (MB)': ({ heldBytes }) => (heldBytes / 1e6).toFixed(1),
        'saved state (MB)': ({ stateBytes }) => (stateBytes / 1e6).toFixed(1),
        'adapter file (MB)': ({ fileBytes }) => fileBytes && (fileBytes / 1e6).toFixed(2),
        'more MACs, kept apart': ({ shareOfMacs }) => percent(shareOfMacs),
        'loss before': ({ lossBefore }) => lossBefore.toFixed(3),
        'loss after': ({ lossAfter }) => lossAfter.toFixed(3),
      }),
    ],
  },
];
