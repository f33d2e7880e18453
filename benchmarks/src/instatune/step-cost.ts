// What one training step costs its host on tfjs-webgpu: dispatches by program, uploads, submissions and the main thread's own time.
// On Dawn's null device (DAWN_OPTIONS='backend=null') nothing is computed, and what is left is the host's part alone.
import * as tf from '@tensorflow/tfjs';
import { findFamily, weightSlots } from '@hip/checkpoints';
import {
  fineTune,
  SeededRandom,
  TransformerModel,
  type Dataset,
  type FineTuneOptions,
  type HostBatch,
  type Precision,
} from '@instatune/supernet';

/** Steps before the count: shaders are compiled, buffers made. */
const WARM = 20;
const COUNTED = 20;

/** A network of real depth and heads; a quarter of its widths and a small batch, for a null device holds 512 MB. */
interface Shape {
  readonly name: string;
  readonly config: Record<string, unknown>;
  readonly batch: number;
  /** Tokens of a text; of an image the configuration says them. */
  readonly tokens?: number;
  /** Labels by token, not by text. */
  readonly perToken?: boolean;
  readonly space: ConstructorParameters<typeof TransformerModel>[2];
  /** What is counted, by name. */
  readonly steps: Readonly<Record<string, (teacher: TransformerModel) => Partial<FineTuneOptions>>>;
}

const taught = { strategy: 'instatune', gamma: 1, alpha: 0.1 } as const;

const SHAPES: readonly Shape[] = [
  {
    name: 'minilm-l6',
    config: {
      architectures: ['BertForSequenceClassification'],
      model_type: 'bert',
      hidden_size: 96,
      num_hidden_layers: 6,
      num_attention_heads: 12,
      intermediate_size: 384,
      vocab_size: 2048,
      max_position_embeddings: 512,
      hidden_act: 'gelu',
      pad_token_id: 0,
      num_labels: 2,
    },
    batch: 16,
    tokens: 16,
    space: { layers: [3, 4, 5, 6], heads: [6, 8, 10, 12], ffn: [96, 192, 288, 384] },
    steps: {
      plain: () => ({
        strategy: 'plain',
        dropout: { hidden: 0.1, attention: 0.1, classifier: 0.1 },
        average: { decay: 0.999 },
        optimizer: { weightDecay: 0.01, layerDecay: 0.65 },
      }),
      'plain, without drop-out': () => ({ strategy: 'plain' }),
      'super-network, teacher and hidden states': (teacher) => ({ ...taught, hiddenStates: 1, teacher }),
      'distilled, hidden states': (teacher) => ({ strategy: 'kd-only', hiddenStates: 1, teacher }),
    },
  },
  {
    name: 'vit-cifar',
    config: {
      architectures: ['ViTForImageClassification'],
      model_type: 'vit',
      hidden_size: 48,
      num_hidden_layers: 9,
      num_attention_heads: 6,
      intermediate_size: 192,
      image_size: 32,
      patch_size: 4,
      num_channels: 3,
      num_labels: 10,
    },
    batch: 16,
    space: { layers: [6, 7, 8, 9], heads: [2, 3, 4, 6], ffn: [48, 96, 144, 192] },
    steps: {
      plain: () => ({ strategy: 'plain' }),
      'super-network, teacher': (teacher) => ({ ...taught, temperature: 2, teacher }),
    },
  },
  {
    name: 'smollm2-135m-instruct',
    config: {
      architectures: ['LlamaForCausalLM'],
      model_type: 'llama',
      hidden_size: 144,
      num_hidden_layers: 30,
      num_attention_heads: 9,
      num_key_value_heads: 3,
      head_dim: 16,
      intermediate_size: 384,
      vocab_size: 2048,
      max_position_embeddings: 8192,
      hidden_act: 'silu',
      rms_norm_eps: 1e-5,
      tie_word_embeddings: true,
    },
    batch: 16,
    tokens: 16,
    perToken: true,
    space: { layers: [30], heads: [6, 9], ffn: [192, 256, 320, 384] },
    steps: {
      plain: () => ({ strategy: 'plain' }),
      'super-network, teacher': (teacher) => ({ ...taught, teacher }),
    },
  },
];

/** The part of tfjs-webgpu's backend that is listened to. */
interface Backend {
  readonly device: {
    readonly queue: { writeBuffer(...rest: unknown[]): void; submit(...rest: unknown[]): void };
    createBuffer(descriptor: { readonly mappedAtCreation?: boolean }): object;
    createBindGroup(descriptor: object): object;
  };
  recordAndSubmit(program: { shaderKey?: string; constructor: { name: string } }, ...rest: unknown[]): void;
}

interface StepCostOptions {
  readonly precision: Precision;
  /** Names of networks. @defaultValue all */
  readonly only?: readonly string[];
  readonly emit: (row: Record<string, unknown>) => void;
  readonly log: (line: string) => void;
  readonly signal: AbortSignal;
}

/** Counts the steps of every shape. */
export async function stepCost({ only, precision, emit, log, signal }: StepCostOptions): Promise<void> {
  if (tf.getBackend() !== 'webgpu') {
    log('step-cost: needs tfjs-webgpu');
    return;
  }
  if (process.env['DAWN_OPTIONS']?.includes('backend=null')) countLanes();
  for (const shape of SHAPES.filter(({ name }) => !only || only.includes(name))) {
    const teacher = modelOf(shape);
    const cases = Object.entries(shape.steps).flatMap(([what, options]) =>
      [true, false].map((recording) => ({ what, options, recording })),
    );
    for (const { what, options, recording } of cases) {
      const model = modelOf(shape);
      const batch = batchOf(shape, model);
      const counter = new Counter(tf.backend() as unknown as Backend);
      let asked = 0;
      const fixed: Dataset = {
        length: batch.size,
        batch: () => {
          // Reports lag behind on a GPU: a step begins where its examples are asked for.
          if (asked++ === WARM) counter.start();
          return batch;
        },
      };
      const run: FineTuneOptions = {
        precision,
        recording,
        ...options(teacher),
        steps: WARM + COUNTED,
        batchSize: batch.size,
        learningRate: 1e-4,
        signal,
      };
      await fineTune(model, fixed, run);
      const { programs, ...counts } = counter.stop(COUNTED);
      emit({ row: 'step cost', model: shape.name, what, precision, recording, batch: batch.size, ...counts, programs });
      model.dispose();
    }
    teacher.dispose();
  }
}

function modelOf({ config: raw, space }: Shape): TransformerModel {
  const config = findFamily(raw).readConfig(raw);
  const values = weightSlots(config).map(({ name, shape }) => {
    const size = shape.reduce((product, extent) => product * extent, 1);
    return [name, new Float32Array(size).fill(0.01)] as const;
  });
  return new TransformerModel(config, new Map(values), space);
}

function batchOf({ batch: size, tokens, perToken }: Shape, { config }: TransformerModel): HostBatch {
  const random = new SeededRandom(7);
  const below = (most: number) => Math.floor(random.next() * most);
  if (tokens === undefined) {
    const [height, width] = config.patches!.imageSize;
    const shape = [size, 3, height, width];
    const data = Float32Array.from({ length: size * 3 * height * width }, () => random.next() - 0.5);
    return { size, pixelValues: { shape, data }, labels: Int32Array.from({ length: size }, () => below(10)) };
  }
  const ids = Int32Array.from({ length: size * tokens }, () => 2 + below(1000));
  const inputIds = { shape: [size, tokens], data: ids };
  if (perToken)
    return { size, inputIds, labels: Int32Array.from(ids, (_, i) => ((i + 1) % tokens ? ids[i + 1]! : -1)) };
  const mask = Int32Array.from(ids, (_, i) => (i < size * tokens - 2 ? 1 : 0));
  const attentionMask = { shape: [size, tokens], data: mask };
  return { size, inputIds, attentionMask, labels: Int32Array.from({ length: size }, () => below(2)) };
}

/** A null device has subgroups of 4 to 128 lanes; the programs of mixed precision are for 32, as NVIDIA's. */
function countLanes(): void {
  const { device } = tf.backend() as unknown as { readonly device: object };
  Object.defineProperty(device, 'adapterInfo', { value: { subgroupMinSize: 32, subgroupMaxSize: 32 } });
}

/** Listens to a backend and its device. */
class Counter {
  readonly #backend: Backend;
  readonly #restore: (() => void)[] = [];
  readonly #programs = new Map<string, number>();
  readonly #calls = { writes: 0, submissions: 0, buffers: 0, bindGroups: 0 };
  #from = process.threadCpuUsage();
  #wall = 0;

  constructor(backend: Backend) {
    this.#backend = backend;
  }

  start(): void {
    const { device } = this.#backend;
    const calls = this.#calls;
    this.#listen(this.#backend, 'recordAndSubmit', ([program]) => {
      const { shaderKey, constructor } = program as Parameters<Backend['recordAndSubmit']>[0];
      const name = (shaderKey ?? constructor.name).split(/[_;]/u)[0] || constructor.name;
      this.#programs.set(name, (this.#programs.get(name) ?? 0) + 1);
    });
    this.#listen(device.queue, 'writeBuffer', () => calls.writes++);
    this.#listen(device.queue, 'submit', () => calls.submissions++);
    this.#listen(device, 'createBuffer', () => calls.buffers++);
    this.#listen(device, 'createBindGroup', () => calls.bindGroups++);
    this.#wall = performance.now();
    this.#from = process.threadCpuUsage();
  }

  /** Numbers of one of so many steps. */
  stop(steps: number) {
    const { user, system } = process.threadCpuUsage(this.#from);
    const wall = performance.now() - this.#wall;
    for (const restore of this.#restore) restore();
    const each = (value: number) => Number((value / steps).toPrecision(4));
    const programs = [...this.#programs].toSorted(([, a], [, b]) => b - a).map(([name, count]) => [name, each(count)]);
    const dispatches = each([...this.#programs.values()].reduce((sum, count) => sum + count, 0));
    const counts = Object.fromEntries(Object.entries(this.#calls).map(([name, count]) => [name, each(count)]));
    return {
      dispatches,
      ...counts,
      threadMs: each((user + system) / 1000),
      wallMs: each(wall),
      programs: Object.fromEntries(programs) as Record<string, number>,
    };
  }

  #listen<Name extends string>(of: { [name in Name]: unknown }, name: Name, heard: (given: unknown[]) => void): void {
    const original = of[name] as (...given: unknown[]) => unknown;
    const own = Object.hasOwn(of, name);
    const held = of as Record<string, unknown>;
    held[name] = (...given: unknown[]) => {
      heard(given);
      return original.apply(of, given);
    };
    this.#restore.push(() => {
      if (own) held[name] = original;
      else delete held[name];
    });
  }
}
