// Tokens a second of forward and training steps, and the share of the backend's own matrix-product peak that they reach.
import * as tf from '@tensorflow/tfjs';
import {
  countMacs,
  fineTuneSteps,
  inputTensors,
  mixedMatMul,
  TeacherCache,
  type Dataset,
  type ElasticModel,
  type FineTuneOptions,
} from '@instatune/supernet';
import { median } from '../benchmark.ts';
import type { BackendName } from './backend.ts';
import type { Task } from './tasks.ts';

interface ThroughputOptions {
  readonly shared: string;
  readonly tasks: readonly Task[];
  readonly backend: BackendName;
  readonly quick: boolean;
  readonly emit: (row: Record<string, unknown>) => void;
  readonly log: (line: string) => void;
  readonly signal: AbortSignal;
}

/** Measures every task's model. */
export async function throughput({
  shared,
  tasks,
  backend,
  quick,
  emit,
  log,
  signal,
}: ThroughputOptions): Promise<void> {
  const gpu = backend === 'webgpu';
  const peak = await matmulPeak(gpu && !quick ? 4096 : 512, gpu ? 10 : 4);
  emit({ row: 'matmul peak', backend, gflops: round(peak / 1e9) });
  const mixed = gpu && (await mixedRows(quick ? 512 : 4096, emit, log));
  for (const task of tasks) {
    log(`throughput of ${task.weights}`);
    const data = await task.open(shared, 0);
    const model = await data.loadModel();
    const batch = quick ? 4 : gpu ? 128 : 16;
    const steps = quick ? 3 : gpu ? 24 : 8;
    const rate = await forwardRate(model, data.train, batch, steps);
    const perToken = countMacs(model.config, undefined, { tokens: rate.length }) / rate.length;
    const row = (what: string, tokensPerSecond: number, more: Record<string, unknown>) =>
      emit({
        row: 'throughput',
        backend,
        model: task.weights,
        what,
        batch,
        length: rate.length,
        tokensPerSecond: Math.round(tokensPerSecond),
        ...more,
      });
    const products = (tokensPerSecond: number, flopsPerToken: number) => ({
      gflops: round((tokensPerSecond * flopsPerToken) / 1e9),
      shareOfPeak: Number(((tokensPerSecond * flopsPerToken) / peak).toFixed(3)),
    });
    row('forward', rate.tokensPerSecond, products(rate.tokensPerSecond, 2 * perToken));
    const time = (options: FineTuneOptions, of: ElasticModel) =>
      trainingRate(of, data.train, batch, steps, rate.length, { ...options, signal });
    const training = await time({ strategy: 'plain' }, model);
    // Backward takes two products for every product of the forward pass.
    row('training step', training, products(training, 6 * perToken));
    if (mixed) {
      const faster = await time({ strategy: 'plain', precision: 'mixed' }, model);
      row('training step of mixed precision', faster, {
        ...products(faster, 6 * perToken),
        timeAgainstPlain: round(training / faster),
      });
    }
    // On a copy: the sub-networks are random, so their work is not stated in products.
    const student = await data.loadModel();
    const elastic = async (what: string, teacher: NonNullable<FineTuneOptions['teacher']>) => {
      const tokensPerSecond = await time({ strategy: 'instatune', gamma: 1, teacher }, student);
      row(what, tokensPerSecond, { timeAgainstPlain: round(training / tokensPerSecond) });
    };
    await elastic('super-network step', model);
    if (task.tokens) {
      const answers = new TeacherCache(model);
      await elastic('super-network step, the teacher read before', answers);
      answers.dispose();
    }
    student.dispose();
    model.dispose();
  }
}

/** FLOP/s of a square product. */
async function matmulPeak(
  size: number,
  repeats: number,
  multiply: (a: tf.Tensor2D, b: tf.Tensor2D) => tf.Tensor2D = (a, b) => tf.matMul(a, b),
): Promise<number> {
  const [a, b] = [tf.randomUniform([size, size]), tf.randomUniform([size, size])] as [tf.Tensor2D, tf.Tensor2D];
  const run = async (): Promise<number> => {
    const start = performance.now();
    const last = tf.tidy(() => {
      let product = multiply(a, b);
      for (let i = 1; i < repeats; i++) product = multiply(a, b);
      return tf.slice2d(product, [0, 0], [1, 1]);
    });
    await last.data();
    last.dispose();
    return (performance.now() - start) / 1000;
  };
  await run();
  const times: number[] = [];
  for (let i = 0; i < 5; i++) times.push(await run());
  tf.dispose([a, b]);
  return (2 * size ** 3 * repeats) / Math.min(...times);
}

/** Rate and rounding of products of mixed precision, each way that training needs them. @returns whether there are any */
async function mixedRows(
  size: number,
  emit: (row: Record<string, unknown>) => void,
  log: (line: string) => void,
): Promise<boolean> {
  const [a, b] = [tf.randomNormal([size, size]), tf.randomNormal([size, size])] as [tf.Tensor2D, tf.Tensor2D];
  try {
    for (const [transposeA, transposeB] of [
      [false, false],
      [false, true],
      [true, false],
    ] as const) {
      const options = { transposeA, transposeB };
      const off = tf.tidy(() => {
        const exact: tf.Tensor2D = tf.matMul(a, b, transposeA, transposeB);
        return tf.div(tf.norm(tf.sub(mixedMatMul(a, b, options), exact)), tf.norm(exact));
      });
      const error = (await off.data())[0] as number;
      off.dispose();
      const peak = await matmulPeak(size, 10, (x, y) => mixedMatMul(x, y, options));
      const way = transposeA ? 'aᵀ·b' : transposeB ? 'a·bᵀ' : 'a·b';
      emit({ row: 'mixed products', way, size, gflops: round(peak / 1e9), error: Number(error.toPrecision(2)) });
    }
    return true;
  } catch (error) {
    log(`no products of mixed precision: ${error instanceof Error ? error.message : String(error)}`);
    return false;
  } finally {
    tf.dispose([a, b]);
  }
}

async function forwardRate(model: ElasticModel, data: Dataset, batch: number, steps: number) {
  const host = await data.batch(Array.from({ length: batch }, (_, i) => (i * 37) % data.length));
  const inputs = inputTensors(host);
  const run = async (): Promise<number> => {
    const start = performance.now();
    // The last one alone is read: a queue that is full is what a server sees.
    for (let i = 0; i < steps; i++) {
      const logits = tf.tidy(() => tf.slice(tf.reshape(model.forward(inputs).logits, [-1]), 0, 1));
      if (i === steps - 1) await logits.data();
      logits.dispose();
    }
    return (performance.now() - start) / 1000;
  };
  await run();
  const times: number[] = [];
  for (let i = 0; i < 3; i++) times.push(await run());
  tf.dispose(Object.values(inputs) as tf.Tensor[]);
  const length = host.inputIds?.shape[1] ?? model.config.maxPositions;
  return { length, tokensPerSecond: (batch * length * steps) / median(times) };
}

async function trainingRate(
  model: ElasticModel,
  data: Dataset,
  batch: number,
  steps: number,
  length: number,
  options: FineTuneOptions,
) {
  const host = await data.batch(Array.from({ length: batch }, (_, i) => (i * 37) % data.length));
  const fixed: Dataset = { length: batch, batch: () => host };
  // On a GPU the first eight steps are reported together: the clock starts when all of them are done.
  const warm = tf.getBackend() === 'webgpu' ? 8 : 2;
  let mark = performance.now();
  for await (const { step } of fineTuneSteps(model, fixed, {
    ...options,
    steps: steps + warm,
    batchSize: batch,
    learningRate: 1e-6,
  })) {
    if (step === warm) mark = performance.now();
  }
  return (steps * batch * length) / ((performance.now() - mark) / 1000);
}

function round(value: number): number {
  return Number(value.toPrecision(4));
}
