// Cut graphs on onnxruntime-web: WebAssembly with our kernels' WebAssembly, WebGPU with our kernels on the same device.
import { describeGpu, missingShared } from '@hip/testing';
import { BOUND_CONFIG, PAPER_CONFIG, type HipConfig } from '@hip/mask-search';
import * as node from 'onnxruntime-node';
import { beforeAll, describe, expect, it } from 'vitest';
import { createHipSession, type HipSessionOptions, type Ort } from '../../src/index.ts';
import type { OrtSession, OrtTensor } from '../../src/runtime/ort.ts';
import { REPLAY } from '../../src/runtime/webgpu-capture.ts';
import { argmax, difference, feedsOf, GOLDENS, goldenTensors, numbers, tolerance } from '../helpers/goldens.ts';
import { addForEach, ortWeb } from '../helpers/ort-web.ts';

const missing = missingShared('goldens/onnx');
const COVERING: HipSessionOptions = {
  denseBelow: 0,
  config: { ...PAPER_CONFIG, k: 64, window: 8, sink: 2, denseLayers: 0 },
};

/** One stage, which keeps everything. */
const SMALL: HipConfig['stages'] = [{ chunk: 8, keep: 64, strideQ: 4, rows: 'max', score: 'bound' }];

/** Runs prefill and decode; says what differs from the golden. */
async function differences(ort: Ort, name: string, options: HipSessionOptions): Promise<readonly string[]> {
  const tensors = goldenTensors(name);
  const path = GOLDENS.get(name)!;
  await using session = await createHipSession(ort, path, { threads: 1, ...options });
  const bound = tolerance(name, path);
  const found: string[] = [];
  let outputs: Record<string, OrtTensor> | undefined;
  for (const phase of ['prefill', 'decode']) {
    const before = outputs;
    outputs = await session.run(feedsOf(session, tensors, phase, outputs));
    for (const tensor of Object.values(before ?? {})) tensor.dispose();
    for (const [output, tensor] of Object.entries(outputs)) {
      const golden = tensors.get(`${phase}.${output}`);
      if (!golden || name.endsWith('windowcache')) continue;
      const data = (await tensor.getData()) as Float32Array;
      const own = numbers({ type: tensor.type, data } as OrtTensor);
      const most = difference(own, numbers(golden));
      if (!(most <= bound)) found.push(`${phase}.${output} differs by ${most}`);
    }
    if (argmax(outputs['logits']!).join() !== argmax(tensors.get(`${phase}.logits`)!).join())
      found.push(`${phase} argmax`);
  }
  for (const tensor of Object.values(outputs!)) tensor.dispose();
  if (session.cacheBytes !== 0) found.push(`${session.cacheBytes} bytes of caches are left`);
  return found;
}

describe.skipIf(missing)(`WebAssembly${missing}`, () => {
  it.each(['hub-llama', 'optimum-llama', 'hub-qwen3-q4f16'])('%s', async (name) => {
    expect(await differences(await ortWeb(), name, COVERING)).toEqual([]);
  });
});

describeGpu('cut graphs', (gpu) => {
  let ort: Ort;
  beforeAll(async () => {
    await addForEach(gpu.gpu);
    ort = await ortWeb();
  });
  // Dense attention and windows for all that runs without f16 (HIP_ALL_GOLDENS=1), one with windows and soft-caps otherwise; one search.
  const isFloat32 = (name: string) => !/fp16|f16|int4-webgpu|t5/.test(name);
  const all = process.env['HIP_ALL_GOLDENS'] ? [...GOLDENS.keys()].filter((name) => isFloat32(name)) : undefined;

  it.skipIf(missing).each(all ?? ['genai-gemma2-fp32-cpu'])(`%s, dense${missing}`, async (name) => {
    expect(await differences(ort, name, { device: 'webgpu' })).toEqual([]);
  });

  const config = { ...BOUND_CONFIG, denseLayers: 0, window: 8, sink: 2, k: 64, blockK: 8, stages: SMALL };

  it.skipIf(missing)(`hub-llama, a search that covers all keys${missing}`, async () => {
    expect(await differences(ort, 'hub-llama', { device: 'webgpu', denseBelow: 0, config })).toEqual([]);
  });

  it.skipIf(missing)(`goes on token by token, forks, and takes over numbers, as on the CPU${missing}`, async () => {
    const path = GOLDENS.get('hub-llama')!;
    // Runs that replay what was captured are counted.
    let replays = 0;
    const counting = {
      Tensor: ort.Tensor,
      InferenceSession: {
        create: async (...args: Parameters<typeof createOrt>) => {
          const piece = await createOrt(...args);
          const run = (...given: Parameters<OrtSession['run']>) => {
            if (given[2] === REPLAY) replays++;
            return piece.run(...given);
          };
          return { inputNames: piece.inputNames, outputNames: piece.outputNames, run, release: () => piece.release() };
        },
      },
    };
    const createOrt = ort.InferenceSession.create.bind(ort.InferenceSession) as unknown as (
      ...args: unknown[]
    ) => Promise<OrtSession>;
    await using own = await createHipSession(counting, path, { device: 'webgpu', denseBelow: 0, config });
    await using cpu = await createHipSession(node, path, { threads: 1 });
    const feeds = feedsOf(own, goldenTensors('hub-llama'), 'prefill');
    const ids = (...values: number[]) =>
      new node.Tensor('int64', BigInt64Array.from(values, BigInt), [1, values.length]);
    const pastOf = (run: Record<string, OrtTensor>) =>
      Object.fromEntries(
        own.inputNames
          .filter((name) => name.startsWith('past'))
          .map((name) => [name, run[name.replace('past_key_values', 'present')]!]),
      );
    const both = async (input: Record<string, OrtTensor>, pasts?: readonly Record<string, OrtTensor>[]) => {
      const runs = [await own.run({ ...input, ...pasts?.[0] }), await cpu.run({ ...input, ...pasts?.[1] })] as const;
      expect(difference(numbers(runs[0]['logits']!), numbers(runs[1]['logits']!))).toBeLessThan(1e-3);
      return runs;
    };
    const prompt = await both(feeds);
    let last: readonly Record<string, OrtTensor>[] = prompt;
    let tried = 0;
    for (let step = 0; step < 5; step++) {
      // The first two show that sizes stay; the third tries and then replays the graph's middle piece.
      if (step === 3) tried = replays;
      const mask = ids(...Array.from({ length: 25 + step }, () => 1));
      last = await both({ input_ids: ids(7 + step), attention_mask: mask }, last.map(pastOf));
    }
    expect(replays - tried).toBe(2);
    // Another way from the prompt on, and from what the other runtime has.
    const mask = ids(...Array.from({ length: 25 }, () => 1));
    await both({ input_ids: ids(99), attention_mask: mask }, prompt.map(pastOf));
    const copies = await Promise.all(
      Object.entries(pastOf(prompt[0])).map(async ([name, tensor]) => {
        return [name, new node.Tensor('float32', (await tensor.getData()) as Float32Array, tensor.dims)] as const;
      }),
    );
    const taken = Object.fromEntries(copies);
    await both({ input_ids: ids(98), attention_mask: mask }, [taken, taken]);
  });
});
