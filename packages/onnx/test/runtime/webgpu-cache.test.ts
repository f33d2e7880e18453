// Caches on WebGPU: pages that forks share, memory that the next text takes over, growth, pages on the host; numbers as on the CPU.
import { describeGpu } from '@hip/testing';
import { BOUND_CONFIG } from '@hip/mask-search';
import { contextOf, readTensor, requestHipDevice, uploadTensor, type GpuContext } from '@hip/kernels-webgpu';
import * as node from 'onnxruntime-node';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import type { AttentionBackend, CutTensors, KeysAndValues, LayerCache, LayerForm } from '../../src/runtime/backend.ts';
import { createCpuBackend } from '../../src/runtime/cpu.ts';
import { tensorClass, type Ort, type OrtTensor } from '../../src/runtime/ort.ts';
import { createWebgpuBackend, type WebgpuBackendOptions } from '../../src/runtime/webgpu.ts';
import { difference } from '../helpers/goldens.ts';
import { addForEach, ortWeb } from '../helpers/ort-web.ts';

const FORM: LayerForm = { layer: 0, scale: undefined, softcap: 0, window: 0, hasSink: false };
const SIZES = { heads: 2, kvHeads: 1, headDim: 16 };
const DENSE = 1e6;

describeGpu('caches', (gpu) => {
  let ort: Ort;
  let context: GpuContext;
  let cpu: AttentionBackend;
  /** Buffers of cached keys that were made. */
  let pools = 0;
  /** What was not as on the CPU. */
  let problems: string[] = [];
  beforeEach(() => {
    problems = [];
  });
  beforeAll(async () => {
    await addForEach(gpu.gpu);
    ort = await ortWeb();
    const device = await requestHipDevice(await gpu.gpu.requestAdapter());
    context = contextOf(device);
    const make = device.createBuffer.bind(device);
    Object.defineProperty(device, 'createBuffer', {
      value: (descriptor: GPUBufferDescriptor) => {
        if (descriptor.label === 'cached keys') pools++;
        return make(descriptor);
      },
    });
    cpu = await createCpuBackend(node, { cache: 'f32', threads: 1, denseBelow: DENSE });
  });
  afterAll(() => cpu[Symbol.dispose]());

  const backendOf = (options: Partial<WebgpuBackendOptions>) =>
    createWebgpuBackend(ort, { type: 'f32', gpuDevice: context.device, denseBelow: DENSE, ...options });

  let drawn = 0;
  const draw = (length: number) =>
    Float32Array.from({ length }, () => Math.sin(12.9898 * drawn++ + 1.3 * Math.sin(drawn)));

  /** A text on both: each step's outputs are compared. */
  class Text {
    readonly #own: AttentionBackend;
    readonly #layers: readonly [LayerCache, LayerCache];
    constructor(own: AttentionBackend, layers?: readonly [LayerCache, LayerCache]) {
      this.#own = own;
      this.#layers = layers ?? [own.createLayer(FORM, SIZES, 1), cpu.createLayer(FORM, SIZES, 1)];
    }

    get layer(): LayerCache {
      return this.#layers[0];
    }

    async step(tokens: number): Promise<void> {
      const { heads, kvHeads, headDim } = SIZES;
      const given = { q: heads, k: kvHeads, v: kvHeads };
      const tensors = (make: (numbers: Float32Array, dims: number[]) => OrtTensor) =>
        Object.fromEntries(
          Object.entries(given).map(([name, count]) => {
            const dims = [1, tokens, count, headDim];
            return [name, { tensor: make(numbers[name]!, dims), dims }];
          }),
        ) as unknown as CutTensors;
      const numbers: Record<string, Float32Array> = {};
      for (const [name, count] of Object.entries(given)) numbers[name] = draw(tokens * count * headDim);
      const spans = [[{ first: 0, count: tokens, call: tokens, after: 0 }]];
      const onGpu = tensors((own, dims) =>
        tensorClass(ort).fromGpuBuffer(uploadTensor(context, own, 'f32').buffer, { dataType: 'float32', dims }),
      );
      const onCpu = tensors((own, dims) => new node.Tensor('float32', own, dims));
      const made = await this.#own.attend([this.#layers[0]], onGpu, spans);
      const expected = (await cpu.attend([this.#layers[1]], onCpu, spans)).data as Float32Array;
      const buffer = made.gpuBuffer as GPUBuffer;
      const found = await readTensor(context, { buffer, type: 'f32', length: expected.length });
      const most = difference(found, expected);
      if (!(most < 1e-4)) problems.push(`${tokens} tokens at ${this.layer.length} differ by ${most}`);
      made.dispose();
    }

    fork(length: number): Text {
      return new Text(this.#own, [this.#layers[0].fork(length), this.#layers[1].fork(length)]);
    }

    async append(numbers: KeysAndValues): Promise<void> {
      for (const layer of this.#layers) await layer.append(numbers);
    }

    /** Keys and values are those of the CPU. */
    async check(): Promise<void> {
      const [own, other] = this.#layers;
      const [found, expected] = await Promise.all([own.read(own.length), other.read(other.length)]);
      const most = difference([...found.k, ...found.v], [...expected.k, ...expected.v]);
      if (most !== 0) problems.push(`keys and values of ${other.length} tokens differ by ${most}`);
    }

    dispose(): void {
      for (const layer of this.#layers) layer[Symbol.dispose]();
    }
  }

  it('are made once with maxTokens: the next text takes the same memory, forks share it', async () => {
    using backend = await backendOf({ maxTokens: 1024 });
    pools = 0;
    for (let turn = 0; turn < 2; turn++) {
      const text = new Text(backend);
      await text.step(300);
      const fork = text.fork(290);
      // Both go on from a page that both hold.
      await text.step(3);
      await fork.step(5);
      await text.step(1);
      await fork.step(1);
      await text.check();
      await fork.check();
      text.dispose();
      await fork.step(1);
      fork.dispose();
    }
    expect(pools).toBe(1);
    const long = new Text(backend);
    await long.step(1000);
    await expect(long.step(100)).rejects.toMatchObject({ code: 'out-of-memory' });
    expect(long.layer.length).toBe(1000);
    long.dispose();
    expect(pools).toBe(1);
    expect(problems).toEqual([]);
  });

  it('grow without maxTokens, each for itself, and are freed with their text', async () => {
    using backend = await backendOf({});
    const text = new Text(backend);
    await text.step(200);
    const fork = text.fork(100);
    for (const tokens of [1, 700, 1]) await text.step(tokens);
    for (const tokens of [1, 900]) await fork.step(tokens);
    await text.check();
    await fork.check();
    fork.layer.truncate(0);
    expect(fork.layer.length).toBe(0);
    text.dispose();
    fork.dispose();
    expect(text.layer.bytes).toBe(0);
    expect(problems).toEqual([]);
  });

  it('keep pages on the host, for attention to all keys and for searches', async () => {
    // One stage that keeps all there is.
    const stages = [{ chunk: 8, keep: 512, strideQ: 4, rows: 'max', score: 'bound' }] as const;
    const config = { ...BOUND_CONFIG, denseLayers: 0, window: 32, sink: 2, k: 512, blockK: 8, stages };
    for (const options of [{}, { config, denseBelow: 0 }]) {
      using backend = await backendOf({ offload: 256, maxTokens: 1024, ...options });
      const text = new Text(backend);
      await text.step(400);
      for (let step = 0; step < 2; step++) await text.step(1);
      const fork = text.fork(390);
      await fork.step(1);
      await text.check();
      await fork.check();
      // What another runtime has computed.
      const numbers = { k: draw(300 * SIZES.headDim), v: draw(300 * SIZES.headDim) };
      const taken = new Text(backend);
      await taken.append(numbers);
      await taken.step(1);
      await taken.step(1);
      await taken.check();
      for (const each of [text, fork, taken]) each.dispose();
    }
    expect(problems).toEqual([]);
  });
});
