// Which rows and columns of each stored result the benchmarks page shows, in the order it shows them.
import { ablationTable } from './ablation.mjs';

const where = (document, match) =>
  document.rows.filter((row) => Object.entries(match).every(([key, value]) => row[key] === value));

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

/** A table from column specifications: header → key or function of the row. */
function view(title, rows, columns) {
  const read = Object.values(columns).map((column) => (typeof column === 'function' ? column : (row) => row[column]));
  return { title, headers: Object.keys(columns), rows: rows.map((row) => read.map((cell) => cell(row))) };
}

const percent = (value) => (value === undefined ? undefined : `${Number((100 * value).toPrecision(3))} %`);
const times = (value) => (value === undefined || value === null ? undefined : `${Number(value.toPrecision(3))}×`);
const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
const thousands = (value) => value?.toLocaleString('en-US');
const giga = (value) => Number((value / 1e9).toPrecision(3));
const mib = (value) => (value === undefined ? undefined : Number((value / 2 ** 20).toPrecision(3)));

/** Configurations of the benchmark on SmolLM2, in words. */
const SMOLLM2 = {
  bounds: 'bounds (the default before)',
  default: 'default',
  profile: 'default, with the shipped profile',
};

export const VIEWS = [
  {
    name: 'demo',
    title: 'The demo, end to end',
    tables: ({ finetune, search, chosen, longContext }) => {
      const { baseline } = chosen;
      return [
        view(
          '',
          [
            ['pretrained', baseline.macs, baseline.latencyMs, baseline.lossPretrained, baseline.reportLossPretrained],
            ['fine-tuned', baseline.macs, baseline.latencyMs, baseline.lossFineTuned, baseline.reportLossFineTuned],
            [`sub-network (${chosen.rule})`, chosen.macs, chosen.latencyMs, chosen.loss, chosen.reportLoss],
          ],
          {
            network: (row) => row[0],
            GMACs: (row) => giga(row[1]),
            'latency (ms)': (row) => row[2],
            'loss, validation': (row) => row[3],
            'loss, unseen': (row) => row[4],
          },
        ),
        view(
          `${finetune.steps} steps of fine-tuning, ${search.evaluations} candidates measured; then a long document`,
          longContext ?? [],
          {
            tokens: 'tokens',
            'dense (ms)': 'denseMs',
            'HiP (ms)': 'hipMs',
            faster: ({ denseMs, hipMs }) => times(denseMs / hipMs),
            'perplexity, dense': 'densePpl',
            'perplexity, HiP': 'hipPpl',
            'attention mass kept': ({ massRecall }) => percent(massRecall),
            'dense (MiB)': ({ denseBytes }) => mib(denseBytes),
            'HiP (MiB)': ({ hipBytes }) => mib(hipBytes),
          },
        ),
      ];
    },
  },
  {
    name: 'cpu-attention',
    title: 'Attention on the CPU',
    tables: (document) => {
      const prefill = where(document, { part: 'prefill' });
      const at = (tokens, what) => prefill.find((row) => row.tokens === tokens && row.what === what);
      const lengths = [...new Set(prefill.map((row) => row.tokens))].map((tokens) => ({
        tokens,
        onnx: at(tokens, 'onnxruntime GroupQueryAttention'),
        tfjs: at(tokens, 'tfjs-wasm operations'),
        dense: at(tokens, 'dense'),
        hip: at(tokens, 'HiP, shipped default'),
        literal: at(tokens, 'HiP, literal defaults of the paper'),
      }));
      const breakEven = where(document, { part: 'break-even', what: 'HiP is faster from' })[0];
      return [
        view('Causal prefill, ms', lengths, {
          tokens: 'tokens',
          'tfjs-wasm': (row) => row.tfjs?.ms,
          'onnxruntime-node': (row) => row.onnx?.ms,
          'ours, dense': (row) => row.dense?.ms,
          'HiP, default': (row) => row.hip?.ms,
          'against onnxruntime': (row) => times(row.hip?.timesFasterThanOnnx),
          'against our dense': (row) => times(row.hip?.timesFasterThanDense),
          'of it searching': (row) => percent(row.hip?.searchShare),
          "HiP, the paper's literal parameters": (row) => row.literal?.ms,
        }),
        view('One decoded token, ms', where(document, { part: 'decode' }), {
          tokens: 'tokens',
          cache: 'cache',
          'cache (MiB)': ({ cacheBytes }) => mib(cacheBytes),
          dense: 'denseMs',
          'search and attend': 'searchAndAttendMs',
          'cached mask': 'cachedMaskMs',
          'against dense': ({ timesFasterThanDense }) => times(timesFasterThanDense),
        }),
        view(
          'Arithmetic of the attention kernels against the peak measured in the same run',
          lengths.filter((row) => row.dense),
          {
            tokens: 'tokens',
            'dense (GFLOP/s)': (row) => row.dense.attentionGflops,
            'of peak': (row) => percent(row.dense.attentionShareOfPeak),
            "HiP's attention half (GFLOP/s)": (row) => row.hip?.attentionGflops,
            'of peak ': (row) => percent(row.hip?.attentionShareOfPeak),
          },
        ),
        view('A million tokens through one layer, in chunks', where(document, { part: 'million' }), {
          tokens: 'tokens',
          'heads, KV heads': ({ heads, kvHeads }) => `${heads}, ${kvHeads}`,
          seconds: 'seconds',
          'last chunk (ms)': 'lastChunkMs',
          'process peak (GiB)': ({ processPeakBytes }) => Number((processPeakBytes / 2 ** 30).toPrecision(3)),
        }),
        view('Break-even', breakEven ? [breakEven] : [], {
          'HiP is faster than our dense from (tokens)': ({ tokens }) => tokens ?? 'not within the lengths measured',
        }),
      ];
    },
  },
  {
    name: 'mask',
    title: 'What a head reads',
    tables: (document) => [
      view('One head over a long text', where(document, { part: 'mask' }), {
        model: 'model',
        'layer, head': ({ layer, head }) => `${layer}, ${head}`,
        tokens: 'tokens',
        k: 'k',
        'keys a row': 'keysPerRow',
        'of all pairs': ({ shareOfPairs }) => percent(shareOfPairs),
        'attention mass kept': ({ massRecall }) => percent(massRecall),
      }),
    ],
  },
  {
    name: 'quality',
    title: 'Quality on real weights',
    tables: (document) => {
      const rows = where(document, { table: 'quality' });
      const lengths = [...new Set(rows.flatMap((row) => Object.keys(row)))]
        .filter((key) => key.startsWith('perplexity') && key !== 'perplexityRatio')
        .map((key) => key.replace('perplexity', ''));
      return [
        view('', rows, {
          model: 'model',
          method: 'method',
          k: 'k',
          'dense layers': 'denseLayers',
          ...Object.fromEntries(
            lengths.map((length) => [`perplexity ${length}`, (row) => row[`perplexity${length}`]?.toFixed(2)]),
          ),
          ...Object.fromEntries(
            lengths.map((length) => [`pass-key ${length}`, (row) => percent(row[`passKey${length}`])]),
          ),
        }),
        view('Attention mass kept by each search', where(document, { table: 'recall' }), {
          'queries and keys': 'of',
          tokens: 'tokens',
          method: 'method',
          k: 'k',
          'mass kept': ({ massRecall }) => percent(massRecall),
        }),
      ];
    },
  },
  {
    name: 'frontier',
    title: 'Time against distance from dense attention',
    tables: (document) => [
      view(
        `The same configuration in each row: distance from dense on SmolLM2 (${thousands(document.rows[0]?.tokens)} tokens, second half), milliseconds of one of its layers (${thousands(document.rows[0]?.timedTokens)} tokens, CPU)`,
        document.rows,
        {
          configuration: 'configuration',
          'keys a row': 'keysPerRow',
          'pseudo-keys': 'pseudoKeysPerRow',
          'over all layers': 'keysPerRowAllLayers',
          'KL (10⁻³ nats)': ({ kl, klError }) => `${kl} ± ${klError}`,
          'perplexity, ratio': ({ perplexityRatio }) => perplexityRatio?.toFixed(4),
          'equal argmax': ({ equalArgmax }) => percent(equalArgmax),
          'prefill (ms)': 'prefillMs',
          'dense (ms)': 'denseMs',
          'against dense': ({ prefillMs, denseMs }) => times(denseMs / prefillMs),
        },
      ),
    ],
  },
  {
    name: 'vote-study',
    title: 'Distance from dense attention by what a vote is made of',
    tables: (document) => [
      { title: 'SmolLM2, two windows of 8,192 tokens, second half', ...ablationTable(document, 'second') },
      { title: 'One token after 7,000, 1,024 fed', ...ablationTable(document, 'decode') },
    ],
  },
  {
    name: 'model-decode',
    title: 'A model that writes, on wasm',
    tables: (document) => [
      view('One decoded token of books-lm-14m after a long text', document.rows, {
        context: 'context',
        'cache and attention': 'decode',
        'ms a token': 'msPerToken',
        'tokens a second': 'tokensPerSecond',
        "against the model's own": ({ againstTfjs }) => times(againstTfjs),
        'cache (MiB)': ({ cacheBytes }) => mib(cacheBytes),
      }),
    ],
  },
  {
    name: 'quality-smollm2',
    title: 'How near to dense: SmolLM2-135M-Instruct at 8,192 tokens',
    tables: (document) => [
      view(
        'Second half of four windows of two books; KL in thousandths of a nat',
        document.rows.filter(({ part, window }) => part === 'prefill' && window.startsWith('mean')),
        {
          configuration: ({ configuration }) => SMOLLM2[configuration] ?? configuration,
          'perplexity against dense': ({ perplexityRatio }) => perplexityRatio.toFixed(4),
          KL: ({ kl, klError }) => `${kl.toFixed(1)} ± ${klError.toFixed(1)}`,
          'same next token': ({ equalArgmax }) => percent(equalArgmax),
          'keys a row': ({ keysPerRow }) => Math.round(keysPerRow),
          'pseudo-keys': ({ pseudoKeysPerRow }) => Math.round(pseudoKeysPerRow),
          'keys a row, dense layers too': ({ keysPerRowAllLayers }) => Math.round(keysPerRowAllLayers),
        },
      ),
      view(
        'Pass-keys: right answers, and the difference from dense with its 95 % interval',
        where(document, { part: 'tasks' }),
        {
          configuration: ({ configuration }) => SMOLLM2[configuration] ?? configuration,
          questions: 'questions',
          right: ({ right }) => percent(right),
          'against dense': ({ difference, interval }) =>
            difference === undefined ? undefined : `${percent(difference)} ± ${percent(interval)}`,
        },
      ),
      view('True tokens fed one at a time after a prompt', where(document, { part: 'decode' }), {
        text: 'window',
        prompt: 'tokens',
        fed: 'fed',
        configuration: ({ configuration }) => SMOLLM2[configuration] ?? configuration,
        'perplexity against dense': ({ perplexityRatio }) => perplexityRatio.toFixed(4),
        KL: ({ kl, klError }) => `${kl} ± ${klError}`,
        'same next token': ({ equalArgmax }) => percent(equalArgmax),
        'keys a row': 'keysPerRow',
        'pseudo-keys': 'pseudoKeysPerRow',
      }),
      view('Pass-keys beyond the trained 8,192 tokens', where(document, { part: 'beyond' }), {
        tokens: 'tokens',
        rotation: 'context',
        task: 'task',
        configuration: ({ configuration }) => SMOLLM2[configuration] ?? configuration,
        questions: 'questions',
        right: ({ right }) => percent(right),
        'against dense': ({ difference, interval }) =>
          difference === undefined ? undefined : `${percent(difference)} ± ${percent(interval)}`,
      }),
    ],
  },
  {
    name: 'webgpu-vote',
    title: 'The default on WebGPU',
    tables: (document) => {
      const native = { 'FlashAttention-2': 'flashAttention2Ms', cuDNN: 'cudnnMs' };
      return [
        view('Prefill: 32 heads, 8 key heads, d=128, causal, f16', where(document, { part: 'prefill' }), {
          tokens: ({ tokens: length }) => thousands(length),
          configuration: 'configuration',
          ...native,
          'GPU (ms)': 'gpuMs',
          'search (ms)': 'searchMs',
          'attention (ms)': 'attentionMs',
        }),
        view('One token after 131,072, mean over a refresh cycle', where(document, { part: 'decode' }), {
          configuration: 'configuration',
          ...native,
          'GPU (ms)': 'gpuMs',
        }),
        view('A million tokens in chunks of 32,768', where(document, { part: 'million' }), {
          configuration: 'configuration',
          'wall (ms)': 'wallMs',
          'last chunk (ms)': 'lastChunkMs',
        }),
      ];
    },
  },
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
            'against plain, relative': ({ againstPlain }) => percent(againstPlain),
            'standard error': ({ againstPlainError }) => percent(againstPlainError),
            'rank correlation': 'spearman',
            'ten nearest, overlap': 'overlap',
          },
        ),
        view(
          'Three seeds of run b: mean and spread, and the mean difference over the same examples',
          where(document, { row: 'over seeds' }),
          {
            task: 'task',
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
    name: 'onnx-webgpu',
    title: 'ONNX models in onnxruntime-web, whole and cut',
    tables: (document) => [
      view(
        "A decoder of Qwen3-0.6B's shape on WebGPU",
        document.rows.filter(({ session }) => session),
        {
          weights: 'dtype',
          session: ({ session, part }) => (part ? `${session}: ${part}` : session),
          tokens: ({ tokens }) => thousands(tokens),
          'prefill (ms)': 'prefillMs',
          'token after it (ms)': 'tokenMs',
          'the slowest of them': 'tokenMsWorst',
          'prefill, times faster': 'prefillGain',
          'token, times faster': 'tokenGain',
        },
      ),
      view(
        'Their logits, a prompt and 8 tokens after it',
        document.rows.filter(({ rows }) => rows),
        {
          weights: 'dtype',
          compared: 'part',
          tokens: ({ tokens }) => thousands(tokens),
          'likeliest token the same': ({ rows, sameArgmax }) => `${sameArgmax} of ${rows}`,
          'largest difference by the largest logit': 'difference',
        },
      ),
    ],
  },
  {
    name: 'onnx-cpu',
    title: 'ONNX models in onnxruntime-node, whole and cut',
    tables: (document) => [
      view("SmolLM2-135M's shape on two threads", where(document, { part: 'speed' }), {
        machine: 'machine',
        weights: 'dtype',
        session: 'session',
        tokens: ({ tokens }) => thousands(tokens),
        'prefill (ms)': 'prefillMs',
        'time of processors (ms)': 'prefillProcessorMs',
        'of it attention (ms)': 'attentionMs',
        'token after it (ms)': 'tokenMs',
        'prefill, times faster': 'prefillGain',
        'in time of processors': 'prefillProcessorGain',
        'attention, times faster': 'attentionGain',
        'token, times faster': 'tokenGain',
      }),
      view('Perplexity', where(document, { part: 'perplexity' }), {
        weights: 'dtype',
        session: 'session',
        tokens: ({ tokens }) => thousands(tokens),
        perplexity: 'perplexity',
        'by the reference': 'ratio',
      }),
    ],
  },
  {
    name: 'serve-soak',
    title: 'A server under 10,000 requests in an hour',
    tables: (document) => [
      view('Requests', document.rows, {
        requests: 'requests',
        seconds: 'seconds',
        ...Object.fromEntries(
          ['right', 'refused', 'aborted', 'dropped', 'wrong', 'untyped'].map((kind) => [
            kind,
            ({ outcomes }) => outcomes[kind],
          ]),
        ),
        'refused by a full queue, in bursts': ({ outcomes, busyOutsideBursts }) => outcomes.busy - busyOutsideBursts,
        '… outside of them': 'busyOutsideBursts',
      }),
      view(
        'What the process holds, after garbage was collected',
        document.rows[0].samples.filter((_, index) => index % 3 === 0),
        {
          second: 'second',
          requests: 'requests',
          'resident (MiB)': 'rssMiB',
          'heap (MiB)': 'heapMiB',
          'external (MiB)': 'externalMiB',
          'cache (MiB)': 'cacheMiB',
          answered: 'running',
          waiting: 'waiting',
          'open descriptors': 'descriptors',
        },
      ),
    ],
  },
  {
    name: 'webgpu-llm',
    title: 'A language model on WebGPU',
    tables: (document) => {
      const bytes = {
        'engine (MB)': ({ engineBytes }) => Math.round(engineBytes / 1e6),
        'GPU (MiB)': ({ gpuBytes }) => mib(gpuBytes),
      };
      const dispatches = (of) =>
        where(document, { part: 'dispatches', of }).filter(({ weights, gpuMs }) => weights === 'f16' && gpuMs >= 0.05);
      const columns = { tokens: 'tokens', pass: 'label', dispatches: 'dispatches', 'GPU (ms)': 'gpuMs' };
      const bounds = { 'bytes alone (ms)': 'bytesMs', 'launches alone (ms)': 'launchesMs' };
      return [
        view(
          "Qwen3-0.6B's shape, random weights, one conversation; PyTorch in the same run",
          where(document, { part: 'lengths' }),
          {
            weights: 'weights',
            tokens: 'tokens',
            'prompt (ms)': 'prefillMs',
            'PyTorch (ms)': 'torchPrefillMs',
            'then a token (ms)': 'tokenMs',
            'PyTorch, a token (ms)': 'torchTokenMs',
            ...bytes,
          },
        ),
        view('Weights of 4 bits against f16, in turns in one process', where(document, { part: 'turns' }), {
          weights: 'weights',
          tokens: 'tokens',
          'prompt (ms)': 'prefillMs',
          'then a token (ms)': 'tokenMs',
          'the fastest (ms)': 'tokenLeastMs',
        }),
        view(
          "SmolLM2-135M's shape, long prompts; with pages on the host, the most that the GPU held",
          where(document, { part: 'long' }),
          {
            tokens: 'tokens',
            'tokens on the GPU': ({ tokens, tokensOnGpu = tokens }) => tokensOnGpu,
            'prompt (ms)': 'prefillMs',
            'then a token (ms)': 'tokenMs',
            'GPU (MiB)': ({ gpuBytes }) => mib(gpuBytes),
          },
        ),
        view('Conversations that decode together, after 2,048 tokens each', where(document, { part: 'together' }), {
          weights: 'weights',
          conversations: 'conversations',
          'tokens/s': 'tokensPerSecond',
          'against one': ({ timesOne }) => times(timesOne),
        }),
        view('1.2 GB of bfloat16 from disk to a first token', where(document, { part: 'load' }), {
          weights: 'weights',
          'load (ms)': 'loadMs',
          'first token (ms)': 'firstTokenMs',
          'host, most (MiB)': ({ hostPeakBytes }) => mib(hostPeakBytes),
          'host, before (MiB)': ({ hostBeforeBytes }) => mib(hostBeforeBytes),
        }),
        view(
          'What each kind of dispatch of a token costs, f16, each timed by itself; what its bytes take at 4.8 TB/s, and as many empty dispatches',
          dispatches('token'),
          { ...columns, ...bounds },
        ),
        view('… of a token of eight conversations together', dispatches('token of eight conversations'), {
          ...columns,
          ...bounds,
        }),
        view(
          'A dispatch that does next to nothing, each waiting for the one before',
          where(document, { part: 'launch' }),
          {
            'in a row (µs)': 'queuedUs',
            'timed by itself (µs)': 'timedUs',
          },
        ),
        view('A token without what surrounds it, after 2,048: in several submits', where(document, { part: 'steps' }), {
          conversations: 'conversations',
          submits: 'submits',
          'encoding (ms)': 'encodeMs',
          'then, until the end (ms)': 'restMs',
          'both (ms)': 'totalMs',
          'one after another (ms)': 'queuedMs',
        }),
        view('… of a chunk of 2,048 tokens', dispatches('chunk of 2,048'), columns),
        view(
          'Largest difference from transformers, relative to the largest logit',
          where(document, { part: 'goldens' }),
          {
            model: 'name',
            weights: 'weights',
            'all rows': 'error',
            'after steps': 'stepError',
          },
        ),
        view('SmolLM2-135M-Instruct.Q4_1.gguf, perplexity of 8,192 tokens', where(document, { part: 'perplexity' }), {
          text: 'text',
          attention: 'attention',
          perplexity: 'perplexity',
          'float32 reference': 'reference',
        }),
      ];
    },
  },
  {
    name: 'webgpu',
    title: 'Attention on WebGPU, the configurations before',
    tables: (document) => {
      const native = { 'FlashAttention-2': 'flashAttention2Ms', cuDNN: 'cudnnMs' };
      const time = { 'GPU (ms)': 'gpuMs', 'wall (ms)': 'wallMs' };
      return [
        view('HiP prefill: 32 heads, 8 key heads, d=128, causal, f16, k=512', where(document, { part: 'prefill' }), {
          what: 'what',
          configuration: 'config',
          ...native,
          ...time,
          'search (ms)': 'searchMs',
          'attention (ms)': 'attentionMs',
          'extra (MiB)': ({ extraBytes }) => mib(extraBytes),
          'a score matrix (MiB)': ({ scoreMatrixBytes }) => mib(scoreMatrixBytes),
        }),
        view('Decode of one token', where(document, { part: 'decode' }), {
          what: 'what',
          keys: 'tokens',
          ...native,
          ...time,
        }),
        view('Attention alone', where(document, { part: 'attention' }), {
          what: 'what',
          tokens: 'tokens',
          kernel: 'variant',
          ...native,
          ...time,
          'TFLOP/s': 'tflops',
          'taken from': 'by',
        }),
        view('What bounds the dense kernel at 8K: its time without one part', where(document, { part: 'ablation' }), {
          without: 'without',
          'GPU (ms)': ({ gpuMs, failure }) => gpuMs ?? failure,
        }),
        view('What a web user has, causal attention', where(document, { part: 'web' }), {
          what: 'what',
          tokens: 'tokens',
          heads: 'heads',
          d: 'headDim',
          type: 'type',
          'wall (ms)': ({ wallMs, failure }) => failure ?? wallMs,
        }),
        view('Checks on the device', where(document, { part: 'checks' }), { what: 'what', passed: 'passed', of: 'of' }),
      ].filter(({ rows }) => rows.length > 0);
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
    name: 'linas',
    title: 'LINAS',
    tables: (document) =>
      [...new Set(document.rows.map((row) => row.problem))].map((problem) => {
        const rows = where(document, { problem });
        const counts = [...new Set(rows.flatMap((row) => Object.keys(row)))].filter((key) => /^at\d+$/.test(key));
        return view(`${problem}: hypervolume after so many measurements, median of seeds (1 is ${rows[0].of})`, rows, {
          tactic: 'tactic',
          seeds: 'seeds',
          ...Object.fromEntries(counts.map((key) => [`after ${key.slice(2)}`, key])),
          'worst seed': 'worstSeed',
          'seconds a run': 'secondsPerRun',
        });
      }),
  },
  {
    name: 'peers',
    title: 'Searches against pymoo and Optuna',
    tables: (document) => {
      const cells = where(document, { part: 'hypervolume' });
      const counts = [50, 100, 200, 400, 800];
      const share = (row, count) =>
        row[`at${count}`] === undefined
          ? undefined
          : `${row[`at${count}`].toFixed(4)} (${row[`worst${count}`].toFixed(4)})${row[`seeds${count}`] ? `, ${row[`seeds${count}`]} seeds` : ''}`;
      return [
        ...[...new Set(cells.map(({ task }) => task))].map((task) =>
          view(
            `${task}: share of the hypervolume after so many measurements, median (worst seed)`,
            cells.filter((row) => row.task === task),
            {
              search: 'algorithm',
              seeds: 'seeds',
              ...Object.fromEntries(counts.map((count) => [`after ${count}`, (row) => share(row, count)])),
              'CPU seconds a run': 'cpuSecondsPerRun',
            },
          ),
        ),
        view('Where LINAS stands in each cell', where(document, { part: 'standing of linas' }), {
          task: 'task',
          measurements: 'measurements',
          LINAS: 'ours',
          standing: 'standing',
          'best other': 'best',
          its: 'bestMedian',
        }),
        view(
          '25,000 evaluations of NSGA-II: hypervolume and CPU time, in one run',
          where(document, { part: '25,000 evaluations' }),
          {
            problem: 'problem',
            seeds: 'seeds',
            'ours, median (least to most)': (row) => `${row.median} (${row.least} to ${row.most})`,
            'pymoo 0.6.2': (row) => `${row.pymooMedian} (${row.pymooLeast} to ${row.pymooMost})`,
            'CPU seconds': 'cpuSeconds',
            "pymoo's": 'pymooCpuSeconds',
            'times less': ({ timesLessCpu }) => times(timesLessCpu),
          },
        ),
        view("Exact hypervolume beside moocore's (C): CPU time", where(document, { part: 'exact hypervolume' }), {
          objectives: 'objectives',
          points: 'points',
          ms: 'ms',
          "moocore's ms": 'moocoreMs',
          "of moocore's": ({ timesOfMoocore }) => times(timesOfMoocore),
        }),
      ];
    },
  },
  {
    name: 'search-lanes',
    title: 'Lanes of a search',
    tables: (document) => [
      view('Share of the time in which lanes measure, trial times log-normal with σ = 0.8', document.rows, {
        tactic: 'tactic',
        proposals: 'proposals',
        lanes: 'lanes',
        measurements: 'evaluations',
        'median time (ms)': 'medianMs',
        busy: ({ busy }) => percent(busy),
        seconds: 'seconds',
        'of them proposing': 'proposingSeconds',
        hypervolume: 'hypervolume',
      }),
    ],
  },
  {
    name: 'search-trials',
    title: 'Studies of many trials',
    tables: (document) => [
      view('LINAS proposes 50 candidates of BERT-synth', where(document, { what: 'proposal of 50' }), {
        'after trials': ({ trials }) => thousands(trials),
        'CPU seconds': 'cpuSeconds',
        'ms a candidate': 'cpuMsPerCandidate',
      }),
      view('A study in a file', where(document, { what: 'study' }), {
        trials: ({ trials }) => thousands(trials),
        'ms a trial to measure and write': 'writeMsPerTrial',
        'CPU seconds to open': 'openSeconds',
        'CPU seconds for its front': 'frontSeconds',
        MiB: 'megabytes',
      }),
      view('Resumed for a round of 50 more', where(document, { what: 'resumed for a round of 50' }), {
        trials: ({ trials }) => thousands(trials),
        'CPU seconds': 'cpuSeconds',
        seconds: 'wallSeconds',
      }),
    ],
  },
  {
    name: 'predictor-table',
    title: 'Predictors on measured networks',
    tables: (document) =>
      [...new Set(document.rows.map(({ set }) => set))].map((set) => {
        const rows = where(document, { set });
        const sizes = [...new Set(rows.map(({ rows: size }) => size))];
        const methods = [...new Set(rows.map(({ method }) => method))].map((method) => ({ method }));
        const cell = (method, size) => {
          const row = rows.find((each) => each.method === method && each.rows === size);
          return row && `${row.mapePercent} %, ${row.kendallTau}`;
        };
        return view(`${set}: MAPE and Kendall's τ on 500 others, median of seeds`, methods, {
          predictor: 'method',
          ...Object.fromEntries(sizes.map((size) => [`from ${size} rows`, ({ method }) => cell(method, size)])),
        });
      }),
  },
  { name: 'predictors', title: 'Predictors' },
  {
    name: 'nsga2',
    title: 'NSGA-II',
    tables: (document) => [
      view(
        'Hypervolume after 25,000 evaluations, beside the bands of pymoo 0.6.2 (quoted, not run)',
        where(document, { part: 'quality' }).filter((row) => row.pymooHypervolumeQuoted),
        {
          problem: 'problem',
          algorithm: 'algorithm',
          'median of seeds': ({ hypervolumeMedian }) => hypervolumeMedian.toFixed(4),
          seeds: 'seeds',
          'pymoo (quoted)': 'pymooHypervolumeQuoted',
          ms: 'ms',
        },
      ),
      view(
        'Non-dominated sorting against comparing all pairs',
        where(document, { part: 'sort' }).filter((row) => row.allPairsMs !== undefined),
        {
          points: 'points',
          objectives: 'objectives',
          ms: 'ms',
          'all pairs (ms)': 'allPairsMs',
          faster: ({ timesFaster }) => times(timesFaster),
        },
      ),
      view('Exact hypervolume', where(document, { part: 'hypervolume' }), {
        points: 'points',
        objectives: 'objectives',
        ms: 'ms',
      }),
    ],
  },
  { name: 'playground', title: 'The playground in headless Chromium' },
  {
    name: 'size',
    title: 'Size',
    tables: (document) => {
      const entries = where(document, { import: '*' });
      const least = (entry) =>
        Math.min(
          ...document.rows.filter((row) => row.entry === entry && row.import !== '*').map((row) => row.gzipBytes),
        );
      return [
        view('Gzip bytes, minified, with the workspace packages that an entry imports', entries, {
          entry: ({ entry }) => `\`${entry}\``,
          everything: 'gzipBytes',
          'of it loaded on demand': ({ onDemandGzipBytes }) => onDemandGzipBytes || undefined,
          'its own code': 'ownGzipBytes',
          'smallest single import': ({ entry }) => (Number.isFinite(least(entry)) ? least(entry) : undefined),
          'left out: registry packages it imports': ({ external }) => external.join(', '),
        }),
      ];
    },
  },
];
