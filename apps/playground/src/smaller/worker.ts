// The worker of the page of smaller models: a super-network on tfjs, fine-tuned, searched, and taken apart.
import { zipSync } from 'fflate';
import { openCheckpoint, type TextTokenizer } from '@hip/checkpoints';
import {
  describeSubnet,
  languageTask,
  qualityOf,
  RelativeLatency,
  subnetProblem,
  type TaskData,
} from '@instatune/cli/pipeline';
import { runSearch, type SearchProblem } from '@instatune/search';
import {
  countParameters,
  exportOnnx,
  fineTuneSteps,
  genesToSubnet,
  loadCheckpoint,
  renderCheckpoint,
  setUpTfjs,
  fullSubnet,
  spaceSize,
  subnetKey,
  subset,
  type Dataset,
  type ElasticModel,
} from '@instatune/supernet';
import { PlaygroundError } from '../rpc/protocol.ts';
import { serve, type Context } from '../rpc/worker.ts';
import { sourceFiles } from '../models/source.ts';
import { paretoFront } from './pareto.ts';
import type {
  ExportInput,
  ExportOutput,
  LoadInput,
  SearchEvent,
  SearchInput,
  SearchOutput,
  SmallerOperations,
  SubnetPoint,
  SupernetInfo,
  TrainEvent,
  TrainInput,
  TrainOutput,
} from './protocol.ts';

/** Share of the labels in the objective (docs/specification/instatune.md §2). */
const ALPHA = 0.3;
/**
 * With the page's own steps: by it books-lm-6m gets better at a novel, too, of whose kind it has read many, which 1e-3 makes it worse at
 * (benchmarks: playground, part `learn`).
 */
const LEARNING_RATE = 2e-4;
/** Windows that the search looks at: a measurement takes a moment, not a minute. */
const WINDOWS = 64;
/** Characters of a text that are learnt from: as many as a visitor waits for. */
const CHARACTERS = 400_000;

interface Loaded {
  readonly model: ElasticModel;
  readonly tokenizer: TextTokenizer;
  data?: TaskData;
}

let current: Loaded | undefined;

serve<SmallerOperations>({ load, train, search, export: exported });

async function load(
  input: LoadInput,
  { signal, emit }: Context<{ loaded: number; total: number }>,
): Promise<SupernetInfo> {
  current?.model.dispose();
  current = undefined;
  const { source, bundled, wasmPaths, backend } = input;
  const backends = backend === 'auto' ? (['webgpu', 'wasm', 'cpu'] as const) : ([backend] as const);
  const setup = await setUpTfjs({ backends, wasmPaths, allowSoftware: backend === 'webgpu' });
  const { files, gguf } = await sourceFiles(source, bundled, signal, emit);
  await using checkpoint = await openCheckpoint(files, { gguf, signal });
  if (checkpoint.config.head !== 'causal-lm') {
    const message = `${files.location} is no language model (its head is ${checkpoint.config.head}): take one that continues texts; other tasks are tuned by the command line, npx @instatune/cli tune`;
    throw new PlaygroundError('unsupported-model', message);
  }
  const { model, tokenizer, config } = await loadCheckpoint(files, { gguf, signal, onProgress: emit });
  if (!tokenizer) {
    model.dispose();
    throw new PlaygroundError(
      'unsupported-model',
      `${files.location} has no tokenizer.json, which a text needs: add it`,
    );
  }
  current = { model, tokenizer };
  return {
    family: model.family,
    layers: config.layers,
    heads: config.heads,
    ffn: config.ffn,
    parameters: countParameters(config),
    subnets: spaceSize(model.space),
    backend: setup.message,
  };
}

async function train(input: TrainInput, { signal, emit }: Context<TrainEvent>): Promise<TrainOutput> {
  const loaded = requireModel();
  const { model, tokenizer } = loaded;
  const { text, steps, batchSize, tokens } = input;
  const all = await languageTask([text.slice(0, CHARACTERS)], tokenizer, { maxTokens: tokens, report: 0 });
  const data = { ...all, validation: spread(all.validation, WINDOWS) };
  const { loss: lossBefore } = await qualityOf(model, data.validation, data, { signal });
  emit({ type: 'data', described: data.described, lossBefore });
  const run = fineTuneSteps(model, data.train, {
    strategy: 'instatune',
    gamma: 0,
    alpha: ALPHA,
    steps,
    batchSize: Math.min(batchSize, data.train.length),
    learningRate: LEARNING_RATE,
    schedule: { warmup: 0.1 },
    signal,
  });
  for await (const { step, losses, tokensPerSecond, eta } of run) {
    // The whole network learns from labels alone, by their share.
    emit({ type: 'step', step, steps, loss: losses[0]! / ALPHA, tokensPerSecond, etaSeconds: eta });
  }
  loaded.data = data;
  return { lossBefore, lossAfter: (await qualityOf(model, data.validation, data, { signal })).loss };
}

async function search({ evaluations }: SearchInput, { signal, emit }: Context<SearchEvent>): Promise<SearchOutput> {
  const { model, data } = requireModel();
  if (!data) throw new PlaygroundError('not-trained', 'the model has not learnt your text yet: fine-tune it first');
  await using latency = new RelativeLatency(model, { tokens: data.tokens });
  const costs = { tokens: data.tokens, quantize: 'none' } as const;
  const problem: SearchProblem = subnetProblem({ model, data, objectives: ['latency'], costs, latency });
  const points: SubnetPoint[] = [];
  const attributes = problem.attributes ?? [];
  await runSearch(problem, {
    tactic: 'linas',
    evaluations,
    population: Math.max(4, Math.min(10, Math.floor(evaluations / 3))),
    seed: 0,
    signal,
    onProgress: ({ evaluations: done, budget: total, trial }) => {
      if (trial?.status !== 'complete') return emit({ done, total, point: undefined });
      const { number, genes, values } = trial;
      const subnet = genesToSubnet(model.space, genes);
      const computed = Object.fromEntries(attributes.map((attribute) => [attribute.name, attribute.evaluate(genes)]));
      const point: SubnetPoint = {
        number,
        genes,
        latency: values!['latency']!,
        loss: values!['loss']!,
        perplexity: Math.exp(values!['loss']!),
        macs: computed['macs']!,
        parameters: computed['parameters']!,
        described: describeSubnet(subnet),
        isFull: subnetKey(subnet) === subnetKey(fullSubnet(model.space)),
      };
      points.push(point);
      emit({ done, total, point });
    },
  });
  return { points, front: paretoFront(points) };
}

async function exported({ genes, format }: ExportInput, { signal }: Context<never>): Promise<ExportOutput> {
  const { model } = requireModel();
  const subnet = genesToSubnet(model.space, genes);
  if (format === 'onnx') {
    const bytes = await exportOnnx(model, subnet, { signal });
    return { name: 'model.onnx', content: new Blob([bytes], { type: 'application/octet-stream' }) };
  }
  const { files } = await renderCheckpoint(model, subnet, { dtype: 'F16', signal });
  const entries = await Promise.all(
    files.map(
      async ({ name, chunks }) =>
        [name, new Uint8Array(await new Blob([...chunks] as BlobPart[]).arrayBuffer())] as const,
    ),
  );
  // Weights do not get smaller.
  const bytes = zipSync(Object.fromEntries(entries), { level: 0 });
  return { name: 'model.zip', content: new Blob([bytes as Uint8Array<ArrayBuffer>], { type: 'application/zip' }) };
}

/** At most so many examples, evenly spread. */
function spread(data: Dataset, most: number): Dataset {
  const count = Math.min(most, data.length);
  return subset(
    data,
    Array.from({ length: count }, (_, i) => Math.floor((i * data.length) / count)),
  );
}

function requireModel(): Loaded {
  if (current) return current;
  throw new PlaygroundError('no-model', 'no model is loaded: load one first');
}
