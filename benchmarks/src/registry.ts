// The benchmarks, by name. Loaded on demand: a peer that does not install must not break the others.
import type { Benchmark } from './benchmark.ts';

/** Name → what it measures. `NAME.ts` beside this file exports `benchmark`. */
export const registry: Readonly<Record<string, string>> = {
  'cpu-attention': 'dense and HiP attention on the CPU against onnxruntime and tfjs-wasm: prefill, decode, memory',
  'cpu-linear': 'products with stored weights on SmolLM2’s shapes: a token, prefill, share of peak',
  'model-decode': 'a decoded token of a whole model after a long context, by cache and attention',
  'llm-cpu': 'SmolLM2 from its GGUF against llama.cpp on two threads: prefill, token, perplexity, memory',
  embeddings: 'MiniLM sentence embeddings on two threads against onnxruntime',
  speculative: 'a draft’s proposals checked together: tokens a second with and without, on two threads',
  'onnx-cpu': 'SmolLM2 as ONNX: onnxruntime with the whole graph against the graph cut at its attention',
  'serve-soak':
    'a server under thousands of requests with aborts, bad requests and dropped connections: answers, memory',
  sampling: 'greedy and every way to sample a token at 151,936 tokens',
  quality: 'perplexity and pass-key accuracy of dense, HiP, window and random blocks on real weights',
  'quality-smollm2': 'SmolLM2 at 8K: distance from dense in prefill and decode, pass-keys, tasks over books',
  frontier: 'time against distance from dense: the same configurations, on SmolLM2 and on two CPU cores',
  mask: "one head's mask over a long text, as a grid of how much of each cell is attended to",
  webgpu: 'dense and HiP attention on WebGPU: prefill, decode, memory',
  nsga2: 'NSGA-II and III on ZDT, DTLZ and BERT-synth; sorting; exact hypervolume',
  'predictor-table': 'MAPE and rank correlation of every predictor by rows learnt from, on HAT and OFA data',
  predictors: 'rank correlation and time of each predictor against measurements, beside peers',
  linas: 'LINAS against NSGA-II and random search on BERT-synth and on measured networks',
  peers: 'LINAS and NSGA-II against pymoo and Optuna after 50 to 800 measurements on twelve tasks',
  'search-lanes': 'share of time that 16 lanes measure, in rounds and with asynchronous proposals',
  'early-stopping': 'super-network validation with and without trials that are stopped: work, and fronts',
  'search-trials': 'time of a proposal after 150 to 10,000 trials, and what such a study costs',
  instatune: 'InstaTune on SST-2, CIFAR-10 and language modelling',
  adapters: 'adapters of rank 8 against all weights on MiniLM and SmolLM2: what is trained, held and saved',
  playground: 'the playground’s pages: Lighthouse, tasks of the main thread, memory left behind, a book of 8K tokens',
  size: 'gzip bytes of each package entry and of each import from it',
};

/** @throws when the name is unknown, or its file is missing or exports no benchmark of that name */
export async function load(name: string): Promise<Benchmark> {
  if (!Object.hasOwn(registry, name)) {
    throw new Error(`no benchmark "${name}": use one of ${Object.keys(registry).join(', ')}`);
  }
  const { benchmark } = (await import(new URL(`${name}.ts`, import.meta.url).href)) as { benchmark?: Benchmark };
  if (benchmark?.name !== name) throw new Error(`benchmarks/src/${name}.ts exports no benchmark named "${name}"`);
  return benchmark;
}
