// The kernel that chooses and attends, at the sizes of a real model, against Tint: Dawn's null backend validates, but computes nothing.
import { expect, it } from 'vitest';
import { create, globals } from 'webgpu';
import { resolveConfig, resolveRemainder, VOTE_CONFIG, type HipConfig } from '@hip/mask-search';
import { planRowAttention } from '../../src/decode/row.ts';
import { rowAttentionBytes, rowAttentionCode } from '../../src/decode/row-code.ts';
import { DEFAULT_LIMITS } from '../../src/device/limits.ts';
import { meansLayout, mostPseudoKeys } from '../../src/remainder/layout.ts';
import { planSearch } from '../../src/search/plan.ts';

const limits = {
  ...DEFAULT_LIMITS,
  maxComputeWorkgroupStorageSize: 49_152,
  maxComputeInvocationsPerWorkgroup: 1024,
  maxComputeWorkgroupSizeX: 1024,
  maxStorageBuffersPerShaderStage: 16,
  maxStorageBufferBindingSize: 2 ** 31 - 4,
};
const budgets = resolveConfig({ ...VOTE_CONFIG, kPerHead: [448, 0, 64, 320, 320, 2, 320, 320] });

for (const [name, config, tier, pageShift] of [
  ['subgroups', VOTE_CONFIG, 'subgroup-matrix', undefined],
  ['no features, a page table, budgets by head', budgets, 'basic', 8],
] as readonly [string, HipConfig, 'subgroup-matrix' | 'basic', number | undefined][]) {
  it(`compiles: ${name}`, async () => {
    Object.assign(globalThis, globals);
    const gpu = create(['backend=null', 'enable-dawn-features=allow_unsafe_apis']);
    // Dawn must outlive its objects.
    (globalThis as { nullGpu?: GPU }).nullGpu = gpu;
    const adapter = await gpu.requestAdapter();
    const device = await adapter!.requestDevice({ requiredFeatures: ['shader-f16', 'subgroups'] });
    const shape = { batch: 1, queries: 1, keys: 135_168, heads: 8, kvHeads: 2, headDim: 128 };
    const profile = { tier, subgroupMaxSize: 32 };
    const plan = planSearch({ shape, config, type: 'f16', profile, limits, pageShift });
    const remainder = resolveRemainder(config.remainder!);
    const layout = meansLayout(remainder, config.sink, shape.keys);
    const pseudo = { layout, most: mostPseudoKeys(layout) };
    for (const append of [false, true]) {
      const kernel = planRowAttention({ plan, stage: 0, limits, slots: 536, remainder, pseudo, append });
      expect(kernel?.lanes).toBe(512);
      expect(rowAttentionBytes(kernel!)).toBeLessThanOrEqual(limits.maxComputeWorkgroupStorageSize);
      const { messages } = await device.createShaderModule({ code: rowAttentionCode(kernel!) }).getCompilationInfo();
      expect(messages.map(({ lineNum, message }) => `${lineNum}: ${message}`)).toEqual([]);
    }
    // WebGPU's default limits bind fewer buffers: passes of their own.
    expect(
      planRowAttention({ plan, stage: 0, limits: DEFAULT_LIMITS, slots: 536, remainder, pseudo, append: false }),
    ).toBe(undefined);
    device.destroy();
  });
}
