// How many dispatches a layer's attention is, append and all: counted on Dawn's null backend, which plans like a large GPU.
import { create, globals } from 'webgpu';
import { beforeAll, expect, it } from 'vitest';
import { layerConfig } from '@hip/mask-search';
import type { ModelLayer } from '../../src/decode/model-plan.ts';
import { ModelPool } from '../../src/decode/model-pool.ts';
import { ModelTurn } from '../../src/decode/model-turn.ts';
import { GpuCall, type Pass } from '../../src/dispatch/call.ts';
import { contextOf, type GpuContext } from '../../src/dispatch/context.ts';
import { emptyTensor } from '../../src/dispatch/tensor.ts';

class CountingCall extends GpuCall {
  readonly labels: string[] = [];

  override pass(pass: Pass): void {
    this.labels.push(pass.label);
    super.pass(pass);
  }
}

const shape = { heads: 16, kvHeads: 8, headDim: 128 };
const searched = layerConfig({}, 2, Infinity);

let context: GpuContext;
beforeAll(async () => {
  Object.assign(globalThis, globals);
  const gpu = create(['backend=null']);
  // Dawn must outlive its objects.
  (globalThis as { nullGpu?: GPU }).nullGpu = gpu;
  const adapter = await gpu.requestAdapter();
  context = contextOf(await adapter!.requestDevice());
  // Nothing is compiled or bound here: the planner may think of a large GPU.
  const large = {
    maxStorageBuffersPerShaderStage: 16,
    maxComputeWorkgroupStorageSize: 49_152,
    maxComputeInvocationsPerWorkgroup: 1024,
    maxComputeWorkgroupSizeX: 1024,
  };
  Object.assign(context, { limits: { ...context.limits, ...large } });
});

/** Labels of each of the next `steps` tokens' passes, by phase, after a prompt of `prompt` tokens. */
function passes(layer: ModelLayer, prompt: number, steps: number): string[][] {
  using pool = new ModelPool(context, { layers: [layer], tokens: 8192 });
  using session = pool.createSession();
  session.begin(prompt).commit();
  const of = (count: number) => emptyTensor({ context, type: 'f16', length: count * shape.headDim });
  const tensors = { q: of(16), k: of(8), v: of(8), out: of(16) };
  const found = Array.from({ length: steps }, () => {
    using turn = session.begin(1);
    using call = new CountingCall(context);
    turn.encode(call, 0, tensors);
    turn.commit();
    return call.labels;
  });
  for (const { buffer } of Object.values(tensors)) buffer.destroy();
  return found;
}

it('two for attention to everything, and for a sliding window', () => {
  const two = ['decode/dense', 'decode/merge'];
  expect(passes({ ...shape, config: 'dense' }, 3000, 1)).toEqual([two]);
  expect(passes({ ...shape, window: 512 }, 3000, 1)).toEqual([two]);
  expect(passes({ ...shape, config: searched as never, denseBelow: 4096 }, 3000, 1)).toEqual([two]);
});

it('two in seven of eight tokens that search, so three at most on average', () => {
  const steps = passes({ ...shape, config: searched as never }, 6000, 16);
  const counts = steps.map(({ length }) => length);
  expect(steps[1]).toEqual(['search/1-exact-mass', 'decode/choose-attend']);
  expect(counts).toEqual([6, 2, 2, 2, 2, 2, 2, 2, 6, 2, 2, 2, 2, 2, 2, 2]);
});

it('two for eight conversations that attend exactly', () => {
  using pool = new ModelPool(context, { layers: [{ ...shape, config: 'dense' }], tokens: 8192 });
  using sessions = new DisposableStack();
  const turns = Array.from({ length: 8 }, (_, row) => sessions.use(pool.createSession()).begin(1, { row }));
  const of = (count: number) => emptyTensor({ context, type: 'f16', length: 8 * count * shape.headDim });
  const tensors = { q: of(16), k: of(8), v: of(8), out: of(16) };
  using call = new CountingCall(context);
  ModelTurn.encodeTogether(call, 0, turns, tensors);
  expect(call.labels).toEqual(['decode/dense', 'decode/merge']);
  for (const { buffer } of Object.values(tensors)) buffer.destroy();
});
