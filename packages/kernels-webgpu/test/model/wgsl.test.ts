// Every product kernel through Dawn's compiler, matrices included, on the null backend: it offers every feature and computes nothing.
import { create, globals } from 'webgpu';
import { beforeAll, expect, it } from 'vitest';
import { matrixKernelCode } from '../../src/model/products/matrix-code.ts';
import { rowKernelCode } from '../../src/model/products/row-code.ts';
import { tileKernelCode } from '../../src/model/products/tile-code.ts';
import { embedCode } from '../../src/model/rows/embed.ts';
import { rotateCode } from '../../src/model/rows/rotate.ts';
import { normKernelCode } from '../../src/model/rows/norm-code.ts';
import { rowLayout } from '../../src/model/weights/layout.ts';
import { WEIGHT_TYPES } from '../../src/model/index.ts';
import { TYPES } from './support.ts';

let device: GPUDevice;
beforeAll(async () => {
  Object.assign(globalThis, globals);
  const gpu = create(['backend=null', 'enable-dawn-features=allow_unsafe_apis']);
  const adapter = await gpu.requestAdapter();
  device = await adapter!.requestDevice({
    requiredFeatures: ['shader-f16', 'subgroups', 'chromium-experimental-subgroup-matrix' as GPUFeatureName],
  });
  // Dawn must outlive its objects.
  (globalThis as { nullGpu?: GPU }).nullGpu = gpu;
});

async function messages(code: string): Promise<string[]> {
  const { messages: found } = await device.createShaderModule({ code }).getCompilationInfo();
  return found.map(({ lineNum, message }) => `${lineNum}: ${message} ${code.split('\n')[lineNum - 1]}`);
}

const target = (out: 'f32' | 'f16', bias = false, add = false) => ({ out, bias, add });

it.each(TYPES)('%s', async (type) => {
  const columns = WEIGHT_TYPES[type].values === 1 ? 100 : 512;
  const layout = rowLayout(type, columns);
  const tiling = { rowSubgroups: 2, outputSubgroups: 4, rowMatrices: 4, outputMatrices: 2, depth: 32 };
  for (const x of ['f32', 'f16'] as const) {
    for (const targets of [[target(x, true, true)], [target('f16'), target('f16', true), target('f32')]]) {
      const kernel = { layout, x, targets };
      const modules = [
        tileKernelCode(kernel),
        matrixKernelCode({ ...kernel, tiling, lanes: 32, wide: x === 'f16' }),
        rowKernelCode({
          ...kernel,
          rows: 3,
          grouped: x === 'f16',
          outputs: 8,
          batch: 4,
          threads: 32,
          shuffle: 32,
          norm: { weight: true, unitOffset: true },
        }),
        rowKernelCode({ ...kernel, rows: 1, outputs: 1, batch: 1, threads: 64, shuffle: 1 }),
      ];
      for (const code of modules) expect(await messages(code)).toEqual([]);
    }
    const gated = { layout, x, targets: [target('f16', true), target('f16')], gate: 'gelu' as const };
    const norm = { weight: true, unitOffset: false };
    expect(
      await messages(rowKernelCode({ ...gated, rows: 1, outputs: 2, batch: 2, threads: 64, shuffle: 4, norm })),
    ).toEqual([]);
    const matrices = { ...gated, tiling: { ...tiling, outputMatrices: 4 }, lanes: 32, wide: x === 'f32' };
    expect(await messages(matrixKernelCode(matrices))).toEqual([]);
    expect(await messages(embedCode({ layout, out: x, add: x === 'f16' }))).toEqual([]);
  }
});

it('of rows in f16', async () => {
  const norm = { x: 'f16', out: 'f16', centred: true, weight: true, bias: true, unitOffset: false } as const;
  expect(await messages(normKernelCode({ ...norm, add: true, inPlace: false }))).toEqual([]);
  expect(await messages(normKernelCode({ ...norm, add: false, inPlace: true }))).toEqual([]);
  const heads = { x: 'f16', out: 'f16', inPlace: true, count: 2, norm: { weight: true, unitOffset: true } } as const;
  const shape = { headDim: 64, rotaryDim: 32, interleaved: true };
  expect(await messages(rotateCode({ sets: [heads, { ...heads, x: 'f32', inPlace: false }], ...shape }))).toEqual([]);
});
