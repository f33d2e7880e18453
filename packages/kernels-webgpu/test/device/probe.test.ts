// The tier of a device whose adapter does not list its matrices.
import { describe, expect, it } from 'vitest';
import { profileOf } from '../../src/device/features.ts';
import { probeMatrices, SUBGROUP_MATRIX_FEATURE } from '../../src/device/probe.ts';

/** A device that compiles matrix kernels, or does not, and lists nothing. */
function device(features: readonly string[], compiles: boolean) {
  let compiled = 0;
  const fake = {
    features: new Set(features),
    adapterInfo: { subgroupMinSize: 32, subgroupMaxSize: 32 },
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
  it('raises the tier once a matrix kernel has compiled, and compiles it once', async () => {
    const { gpu, compiled } = device(ALL, true);
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

  it.each(ALL)('does not compile anything without %s', async (missing) => {
    const { gpu, compiled } = device(
      ALL.filter((feature) => feature !== missing),
      true,
    );
    expect(await probeMatrices(gpu)).toBe(false);
    expect(compiled()).toBe(0);
  });
});
