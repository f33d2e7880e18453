// Time of attention, and the demo.
import { giga, mib, percent, thousands, times, view, where } from './view.mjs';

export const attention = [
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
];
