// The tier of a device whose adapter does not list its matrices.
import { describe, expect, it } from 'vitest';
import { profileOf } from '../../src/device/features.ts';
import { probeMatrices, SUBGROUP_MATRIX_FEATURE } from '../../src/device/probe.ts';

/** A device that compiles matrix kernels, or does not, and lists nothing. */
function device(features: readonly string[], compiles: boolean, configs?: readonly object[]) {
  let compiled = 0;
  const fake = {
    features: new Set(features),
    adapterInfo: { subgroupMinSize: 32, subgroupMaxSize: 32, ...(configs && { subgroupMatrixConfigs: configs }) },
    pushErrorScope: () => undefined,
    popErrorScope: async () => null,
    createShaderModule: () => ({}),
    createComputePipelineAsync: async () => {
      compiled++;
      if (!compiles) throw new Error('no such matrices');
      return {};
    },
  };
  return { gpu: fake as unknown as GPUDevice, compiled: () => compiled };
}

const ALL = ['shader-f16', 'subgroups', SUBGROUP_MATRIX_FEATURE];

describe('probeMatrices', () => {
  it.each([
    ['no list', undefined],
    ['an empty list', []],
  ])('raises the tier once a matrix kernel has compiled, and compiles it once (%s)', async (_, configs) => {
    const { gpu, compiled } = device(ALL, true, configs);
    expect(profileOf(gpu).tier).toBe('subgroups');
    expect(await probeMatrices(gpu)).toBe(true);
    expect(await probeMatrices(gpu)).toBe(true);
    expect(compiled()).toBe(1);
    expect(profileOf(gpu).tier).toBe('subgroup-matrix');
  });

  it('keeps the lower tier where the kernel does not compile', async () => {
    const { gpu } = device(ALL, false);
    expect(await probeMatrices(gpu)).toBe(false);
    expect(profileOf(gpu).tier).toBe('subgroups');
  });

  it('goes by the list where there is one', async () => {
    const other = { componentType: 'f32', resultComponentType: 'f32', M: 8, N: 8, K: 8 };
    const { gpu } = device(ALL, true, [other]);
    await probeMatrices(gpu);
    expect(profileOf(gpu).tier).toBe('subgroups');
    const fitting = { componentType: 'f16', resultComponentType: 'f32', M: 16, N: 16, K: 16 };
    expect(profileOf(device(ALL, false, [other, fitting]).gpu).tier).toBe('subgroup-matrix');
  });

  it.each(ALL)('does not compile anything without %s', async (missing) => {
    const { gpu, compiled } = device(
      ALL.filter((feature) => feature !== missing),
      true,
    );
    expect(await probeMatrices(gpu)).toBe(false);
    expect(compiled()).toBe(0);
  });
});
