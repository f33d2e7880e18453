// Products with stored matrices, fused norms and gates, on every tier there is, against float64.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import fc from 'fast-check';
import { describeGpu } from '@hip/testing';
import { requestHipDevice } from '../../src/device/request.ts';
import { GpuCall } from '../../src/dispatch/call.ts';
import { contextOf, GpuContext } from '../../src/dispatch/context.ts';
import { readTensor, uploadTensor, emptyTensor, type GpuTensor } from '../../src/dispatch/tensor.ts';
import {
  createGpuMatrix,
  encodeGatedLinear,
  encodeLinear,
  WEIGHT_TYPES,
  type ProductOptions,
  type WeightType,
} from '../../src/model/index.ts';
import { randomValues, roundToHalf } from '../support/cases.ts';
import { emulatedMatrices } from '../support/emulated-matrices.ts';
import { ACTIVATION_FUNCTIONS, normed, product, randomMatrix, TYPES, worst } from './support.ts';

interface Case {
  readonly rows: number;
  readonly outputs: number;
  readonly columns: number;
  readonly seed: number;
  readonly xType?: 'f32' | 'f16';
  readonly withBias?: boolean;
  readonly add?: boolean;
  readonly scale?: number;
}

describeGpu('products of stored matrices', (gpu) => {
  let context: GpuContext;
  beforeAll(async () => {
    context = contextOf(await requestHipDevice(await gpu.adapter()));
  });
  afterAll(() => context.device.destroy());

  const matrixOf = (type: WeightType, rows: number, columns: number, seed: number, on = context) => {
    const { bytes, values } = randomMatrix(type, rows, columns, seed);
    const matrix = createGpuMatrix(on, { type, rows, columns });
    matrix.write(0, bytes);
    return { matrix, values };
  };
  const tensor = (values: Float32Array, type: 'f32' | 'f16' = 'f32'): GpuTensor => uploadTensor(context, values, type);
  const run = (encode: (call: GpuCall) => void): void => {
    const call = new GpuCall(context);
    encode(call);
    call.submit();
  };
  /** On SwiftShader, matrices without matrix units: one subgroup's lanes each hold whole ones. */
  const emulated = (): ProductOptions => ({
    variant: {
      kind: 'matrices',
      lanes: context.profile.subgroupMaxSize,
      tiling: { rowSubgroups: 1, outputSubgroups: 2, rowMatrices: 1, outputMatrices: 1, depth: 16 },
    },
    matrices: () => emulatedMatrices(context.profile.subgroupMaxSize),
  });

  /** One product against float64; columns are compiled in, so that cases share few of them. */
  async function check(
    type: WeightType,
    { rows, outputs, columns, seed, xType = 'f32', withBias = false, add = false, scale = 1 }: Case,
    options: ProductOptions,
  ): Promise<number> {
    const raw = randomValues(rows * columns, seed + 7);
    const input = xType === 'f16' ? roundToHalf(raw) : raw;
    const [bias, before] = [randomValues(outputs, seed + 2), randomValues(rows * outputs, seed + 3)];
    const { matrix, values } = matrixOf(type, outputs, columns, seed);
    const { sums, sizes } = product(input, values, { rows, outputs, columns });
    const out = tensor(before);
    const target = { matrix, out, add, scale, ...(withBias ? { bias: tensor(bias) } : {}) };
    run((call) => encodeLinear(call, { x: tensor(input, xType), targets: [target], rows }, options));
    const expected = sums.map((sum, i) => scale * (sum + (withBias ? bias[i % outputs]! : 0)) + (add ? before[i]! : 0));
    const actual = await readTensor(context, out);
    matrix.dispose();
    return worst(
      actual,
      expected,
      sizes.map((size) => size + 2),
    );
  }

  it.each(TYPES)('%s: one row', async (type) => {
    const columns = WEIGHT_TYPES[type].values === 1 ? 72 : Math.max(96, 2 * WEIGHT_TYPES[type].values);
    const shape = { outputs: 37, columns, seed: 3 };
    expect(await check(type, { ...shape, rows: 1 }, { tier: 'subgroups' })).toBeLessThan(1e-5);
  });

  it.each(['BF16', 'Q5_1', 'Q6_K'] as const)('%s: many rows', async (type) => {
    const columns = Math.max(72, WEIGHT_TYPES[type].values);
    const shape = { outputs: 37, columns: columns - (columns % WEIGHT_TYPES[type].values), seed: 3 };
    expect(await check(type, { ...shape, rows: 67, xType: 'f16', withBias: true }, { tier: 'basic' })).toBeLessThan(
      1e-5,
    );
  });

  it('of any number of rows, outputs and columns', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.record({
          rows: fc.constantFrom(3, 8, 9, 130),
          outputs: fc.integer({ min: 1, max: 150 }),
          columns: fc.constant(53),
          xType: fc.constant('f16' as const),
          withBias: fc.constant(true),
          add: fc.constant(true),
          scale: fc.constantFrom(1, 0.25),
          seed: fc.nat(1000),
        }),
        async (shape) => {
          expect(await check('F16', shape, {})).toBeLessThan(1e-5);
        },
      ),
      { numRuns: 12 },
    );
  });

  it.each(['F16', 'Q6_K'] as const)('%s: few rows of more columns than a workgroup has lanes for', async (type) => {
    const columns = type === 'F16' ? 603 : 768;
    const shuffle = type === 'F16' ? 1 : 4;
    const variant = { kind: 'rows', outputs: 4, batch: 2, threads: 32, shuffle } as const;
    const shape = { rows: 2, outputs: 11, columns, seed: 4, withBias: true };
    expect(await check(type, shape, { variant })).toBeLessThan(1e-5);
  });

  it('few rows in groups, and a row that gives the same whatever is beside it', async () => {
    const [outputs, columns] = [13, 320];
    const { matrix, values } = matrixOf('F16', outputs, columns, 4);
    const input = randomValues(11 * columns, 6);
    const weight = tensor(randomValues(columns, 7));
    const variant = { kind: 'rows', outputs: 4, batch: 4, threads: 32, shuffle: 4 } as const;
    const found: Float32Array[] = [];
    for (const rows of [1, 2, 3, 8, 11]) {
      const out = emptyTensor({ context, type: 'f32', length: rows * outputs });
      const norm = { kind: 'rms', epsilon: 1e-3, weight } as const;
      const targets = [{ matrix, out }];
      run((call) =>
        encodeLinear(call, { x: tensor(input.subarray(0, rows * columns)), targets, rows, norm }, { variant }),
      );
      found.push(await readTensor(context, out));
    }
    const most = found.at(-1)!;
    for (const some of found) expect(some).toEqual(most.subarray(0, some.length));
    const x = normed(input, columns, {
      centred: false,
      epsilon: 1e-3,
      weight: await readTensor(context, weight),
      bias: undefined,
    });
    const { sums, sizes } = product(x, values, { rows: 11, outputs, columns });
    expect(worst(most, sums, sizes)).toBeLessThan(1e-5);
    matrix.dispose();
  });

  it.each(['F16', 'Q4_K'] as const)('%s: sixteen by sixteen, sums as good as f16 factors allow', async (type) => {
    const columns = WEIGHT_TYPES[type].values === 1 ? 72 : 256;
    const most = type === 'F16' ? 1e-6 : 1e-3;
    expect(await check(type, { rows: 35, outputs: 37, columns, seed: 1, xType: 'f16' }, emulated())).toBeLessThan(most);
    const halves = { ...emulated(), halves: true };
    expect(await check(type, { rows: 35, outputs: 37, columns, seed: 1, xType: 'f16' }, halves)).toBeLessThan(most);
  });

  it('sixteen by sixteen, gate and up in one tile', async () => {
    const [rows, outputs, columns] = [18, 44, 64];
    const input = roundToHalf(randomValues(rows * columns, 1));
    const [gate, up] = [matrixOf('F16', outputs, columns, 2), matrixOf('F16', outputs, columns, 3)];
    const out = emptyTensor({ context, type: 'f32', length: rows * outputs });
    const lanes = context.profile.subgroupMaxSize;
    const tiling = { rowSubgroups: 1, outputSubgroups: 1, rowMatrices: 1, outputMatrices: 2, depth: 16 };
    const inputs = { x: tensor(input, 'f16'), rows, gate, up, activation: 'silu', out } as const;
    const options = { variant: { kind: 'matrices', lanes, tiling }, matrices: () => emulatedMatrices(lanes) } as const;
    run((call) => encodeGatedLinear(call, inputs, options));
    const shape = { rows, outputs, columns };
    const [g, u] = [product(input, gate.values, shape), product(input, up.values, shape)];
    const expected = u.sums.map((sum, i) => sum * ACTIVATION_FUNCTIONS.silu(g.sums[i]!));
    const sizes = u.sizes.map((size, i) => (size + 1) * (g.sizes[i]! + 1));
    expect(worst(await readTensor(context, out), expected, sizes)).toBeLessThan(1e-5);
    gate.matrix.dispose();
    up.matrix.dispose();
  });

  it('several matrices of one type and of others in one call, with a bias or none', async () => {
    for (const rows of [2, 20]) {
      for (const options of rows > 8 ? [{ tier: 'basic' as const }, emulated()] : [{ tier: 'basic' as const }]) {
        const input = randomValues(rows * 256, 8);
        const targets = (['Q4_1', 'Q6_K', 'Q4_1'] as const).map((type, i) => {
          const outputs = [40, 7, 64][i]!;
          const bias = i % 2 === 0 ? randomValues(outputs, i) : undefined;
          const out = emptyTensor({ context, type: 'f32', length: rows * outputs });
          return { ...matrixOf(type, outputs, 256, i), out, bias };
        });
        run((call) =>
          encodeLinear(
            call,
            {
              x: tensor(input),
              targets: targets.map(({ matrix, out, bias }) => ({ matrix, out, bias: bias && tensor(bias) })),
              rows,
            },
            options,
          ),
        );
        for (const { matrix, values, out, bias } of targets) {
          const { sums, sizes } = product(input, values, { rows, outputs: matrix.rows, columns: 256 });
          const expected = sums.map((sum, i) => sum + (bias?.[i % matrix.rows] ?? 0));
          const most = 'matrices' in options ? 1e-3 : 1e-5;
          expect(worst(await readTensor(context, out), expected, sizes)).toBeLessThan(most);
          matrix.dispose();
        }
      }
    }
  });

  it('norms on the way in, gates on the way out', async () => {
    const outputs = 45;
    for (const [rows, columns, types] of [
      [1, 64, ['F16', 'F16']],
      [2, 520, ['F16', 'F16']],
      [3, 52, ['F32', 'F32']],
      [2, 256, ['Q4_K', 'Q6_K']],
      [19, 64, ['Q4_0', 'Q4_0']],
    ] as const) {
      for (const kind of columns === 64 ? (['rms', 'layer'] as const) : (['rms'] as const)) {
        const unitOffset = rows === 1;
        const input = randomValues(rows * columns, 5).map((x) => 3 * x + 0.2);
        const weight = randomValues(columns, 6);
        const offsets = randomValues(columns, 7);
        const withBias = kind === 'layer';
        const [gate, up] = types.map((type, i) => matrixOf(type, outputs, columns, i));
        const gateBias = randomValues(outputs, 9);
        const out = emptyTensor({ context, type: 'f32', length: rows * outputs });
        const norm = {
          kind,
          epsilon: 1e-3,
          weight: tensor(weight),
          unitOffset,
          ...(withBias ? { bias: tensor(offsets) } : {}),
        };
        const inputs = {
          x: tensor(input),
          rows,
          norm,
          gate: { matrix: gate!.matrix, bias: tensor(gateBias) },
          up: { matrix: up!.matrix },
          activation: 'silu',
          out,
        } as const;
        const chunked = { kind: 'rows', outputs: 1, batch: 1, threads: 32, shuffle: 4 } as const;
        run((call) => encodeGatedLinear(call, inputs, columns === 520 ? { variant: chunked } : {}));
        const x = normed(input, columns, {
          centred: kind === 'layer',
          epsilon: 1e-3,
          weight: weight.map((w) => w + (unitOffset ? 1 : 0)),
          bias: withBias ? offsets : undefined,
        });
        const shape = { rows, outputs, columns };
        const [g, u] = [product(x, gate!.values, shape), product(x, up!.values, shape)];
        const expected = u.sums.map((sum, i) => sum * ACTIVATION_FUNCTIONS.silu(g.sums[i]! + gateBias[i % outputs]!));
        const sizes = u.sizes.map((size, i) => (size + 1) * (g.sizes[i]! + 1));
        expect(worst(await readTensor(context, out), expected, sizes)).toBeLessThan(
          context.profile.shaderF16 ? 2e-3 : 1e-5,
        );
        gate!.matrix.dispose();
        up!.matrix.dispose();
      }
    }
  });

  it('rows beyond a binding lie on several buffers', async () => {
    const small = new GpuContext(context.device);
    Object.assign(small, { limits: { ...context.limits, maxStorageBufferBindingSize: 2048 } });
    const [outputs, columns] = [83, 64];
    for (const rows of [12, 1]) {
      const input = randomValues(rows * columns, 3);
      const { matrix, values } = matrixOf('F16', outputs, columns, 4, small);
      const second = matrixOf('F16', outputs, columns, 5, small);
      expect(matrix.bytes).toBe(outputs * columns * 2);
      const out = emptyTensor({ context, type: 'f32', length: rows * outputs });
      const gated = emptyTensor({ context, type: 'f32', length: rows * outputs });
      const call = new GpuCall(small);
      const x = tensor(input);
      encodeLinear(call, { x, targets: [{ matrix, out }], rows });
      encodeGatedLinear(call, { x, gate: { matrix }, up: second, activation: 'identity', out: gated, rows });
      call.submit();
      const { sums, sizes } = product(input, values, { rows, outputs, columns });
      expect(worst(await readTensor(context, out), sums, sizes)).toBeLessThan(1e-5);
      const other = product(input, second.values, { rows, outputs, columns });
      expect(
        worst(
          await readTensor(context, gated),
          sums.map((sum, i) => sum * other.sums[i]!),
          sizes.map((size, i) => (size + 1) * (other.sizes[i]! + 1)),
        ),
      ).toBeLessThan(1e-5);
      matrix.dispose();
      second.matrix.dispose();
    }
  });

  describe('what is not finite', () => {
    it('reaches the outputs of its row, or of its matrix row, and no others', async () => {
      for (const type of ['F16', 'Q6_K'] as const) {
        const columns = Math.max(32, WEIGHT_TYPES[type].values);
        const { bytes } = randomMatrix(type, 9, columns, 4);
        const matrix = createGpuMatrix(context, { type, rows: 9, columns });
        for (const rows of [2, 12]) {
          matrix.write(0, bytes);
          const x = new Float32Array(rows * columns).fill(1);
          x[columns + 5] = NaN;
          const out = emptyTensor({ context, type: 'f32', length: rows * 9 });
          run((call) => encodeLinear(call, { x: tensor(x), targets: [{ matrix, out }], rows }));
          const finite = [...(await readTensor(context, out))].map(Number.isFinite);
          expect(finite).toEqual(finite.map((_, i) => Math.floor(i / 9) !== 1));
          const odd = bytes.slice();
          const at = 5 * (bytes.length / 9) + (type === 'Q6_K' ? 208 : 0);
          new DataView(odd.buffer).setUint16(at, 0x7e00, true);
          matrix.write(0, odd);
          run((call) =>
            encodeLinear(call, {
              x: tensor(new Float32Array(rows * columns).fill(0.5)),
              targets: [{ matrix, out }],
              rows,
            }),
          );
          const weights = [...(await readTensor(context, out))].map(Number.isFinite);
          expect(weights).toEqual(weights.map((_, i) => i % 9 !== 5));
        }
        matrix.dispose();
      }
    });
  });

  it('refuses what does not fit, by name', () => {
    const { matrix } = matrixOf('F32', 4, 8, 1);
    const other = matrixOf('F32', 4, 16, 1).matrix;
    const x = tensor(new Float32Array(8));
    const out = tensor(new Float32Array(4));
    const call = new GpuCall(context);
    const refused = (code: string, message: RegExp) =>
      expect.objectContaining({ code, message: expect.stringMatching(message) });
    expect(() => createGpuMatrix(context, { type: 'Q8_0', rows: 1, columns: 40 })).toThrow(
      refused('invalid-shape', /Q8_0 stores 32 values a block/),
    );
    expect(() => createGpuMatrix(context, { type: 'Q2_K' as WeightType, rows: 1, columns: 256 })).toThrow(
      refused('unsupported', /type is Q2_K: give one of F32/),
    );
    expect(() => matrix.write(3, new Uint8Array(64))).toThrow(refused('invalid-shape', /rows 3 to 5 are written/));
    expect(() => matrix.write(0, new Uint8Array(9))).toThrow(refused('invalid-shape', /take 32 each/));
    expect(() => encodeLinear(call, { x, targets: [], rows: 1 })).toThrow(refused('invalid-shape', /at least one/));
    expect(() => encodeLinear(call, { x, targets: [{ matrix, out }], rows: 2 })).toThrow(
      refused('invalid-shape', /x holds 8 numbers: this needs 16/),
    );
    expect(() =>
      encodeLinear(call, {
        x,
        targets: [
          { matrix, out },
          { matrix: other, out },
        ],
        rows: 1,
      }),
    ).toThrow(refused('invalid-shape', /matrix 1 has 16 columns, the first 8/));
    expect(() => encodeLinear(call, { x, targets: [{ matrix, out, scale: NaN }], rows: 1 })).toThrow(
      refused('invalid-config', /scale is NaN/),
    );
    matrix.dispose();
    expect(() => encodeLinear(call, { x, targets: [{ matrix, out }], rows: 1 })).toThrow(
      refused('internal', /disposed/),
    );
    other.dispose();
  });
});
