// The matrix kernels' WGSL against Tint: Dawn's null backend offers every feature and validates, but computes nothing.
import { expect, it } from 'vitest';
import { create, globals } from 'webgpu';
import { BOUND_CONFIG, DEFAULT_CONFIG, resolveConfig, type HipConfig } from '@hip/mask-search';
import { BOUNDS } from '../support/bounds.ts';
import { DEFAULT_LIMITS } from '../../src/device/limits.ts';
import { planSearch } from '../../src/search/plan.ts';

const profile = { tier: 'subgroup-matrix', subgroupMaxSize: 32 } as const;
const limits = { ...DEFAULT_LIMITS, maxComputeWorkgroupStorageSize: 49_152, maxStorageBufferBindingSize: 2 ** 31 - 4 };

const stages = (config: Partial<HipConfig>): HipConfig => resolveConfig({ ...BOUNDS, ...config });
const configs: Record<
  string,
  { config: HipConfig; headDim?: number; pageShift?: number; queries?: number; matrices?: number }
> = {
  'the default': { config: BOUND_CONFIG },
  'the fast one': { config: BOUNDS },
  'a page table': { config: BOUNDS, pageShift: 8 },
  'the vote': { config: DEFAULT_CONFIG },
  'the vote, a page table, budgets by head': {
    config: resolveConfig({ ...DEFAULT_CONFIG, kPerHead: [320, 0, 64, 320, 320, 2, 320, 320] }),
    headDim: 64,
    pageShift: 8,
  },
  'one row’s vote': { config: DEFAULT_CONFIG, queries: 1, matrices: 0 },
  'one row’s vote, a page table, budgets by head': {
    config: resolveConfig({ ...DEFAULT_CONFIG, kPerHead: [320, 0, 64, 320, 320, 2, 320, 320] }),
    pageShift: 8,
    queries: 1,
    matrices: 0,
  },
  'other sizes': {
    config: stages({
      k: 256,
      blockK: 32,
      blockQ: 128,
      stages: [
        { chunk: 64, keep: 2048, strideQ: 16, rows: 'max', score: 'bound' },
        { chunk: 32, keep: 1024, strideQ: 8, rows: 'max', score: 'bound' },
        { chunk: 32, keep: 256, strideQ: 8, rows: 'mean', score: 'exact' },
      ],
    }),
    headDim: 80,
  },
};

for (const [name, { config, headDim = 128, pageShift, queries = 32_768, matrices = 3 }] of Object.entries(configs)) {
  it(`compiles for ${name}`, async () => {
    Object.assign(globalThis, globals);
    const gpu = create(['backend=null', 'enable-dawn-features=allow_unsafe_apis']);
    // Dawn must outlive its objects.
    (globalThis as { nullGpu?: GPU }).nullGpu = gpu;
    const adapter = await gpu.requestAdapter();
    const wanted = ['shader-f16', 'subgroups', 'chromium-experimental-subgroup-matrix'];
    expect(wanted.filter((feature) => !adapter!.features.has(feature as GPUFeatureName))).toEqual([]);
    const device = await adapter!.requestDevice({ requiredFeatures: wanted as GPUFeatureName[] });
    const shape = { batch: 1, queries, keys: 32_768, heads: 8, kvHeads: 2, headDim };
    const plan = planSearch({ shape, config, type: 'f16', profile, limits, pageShift });
    const passes = new Map(plan.slabs.flatMap(({ passes }) => passes.map((pass) => [pass.code, pass.label])));
    const multiply = [...passes.keys()].filter((code) => code.includes('subgroupMatrixMultiplyAccumulate'));
    expect(multiply.length).toBe(matrices);
    for (const [code, label] of passes) {
      device.pushErrorScope('validation');
      const { messages } = await device.createShaderModule({ code, label }).getCompilationInfo();
      await device.popErrorScope();
      expect(
        messages.map(
          ({ type, lineNum, message }) => `${label} ${type} ${lineNum}: ${message} ${code.split('\n')[lineNum - 1]}`,
        ),
      ).toEqual([]);
    }
    device.destroy();
  });
}
