// Language models and ONNX models, whole.
import { mib, thousands, times, view, where } from './view.mjs';

export const models = [
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
];
