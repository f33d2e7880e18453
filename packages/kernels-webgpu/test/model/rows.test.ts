// Norms, rotation, gates, sums, look-ups and checks of rows against float64.
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeGpu } from '@hip/testing';
import { requestHipDevice } from '../../src/device/request.ts';
import { GpuCall } from '../../src/dispatch/call.ts';
import { contextOf, GpuContext } from '../../src/dispatch/context.ts';
import { emptyTensor, readTensor, uploadTensor, type GpuTensor } from '../../src/dispatch/tensor.ts';
import {
  createGpuMatrix,
  encodeAddScaled,
  encodeEmbed,
  encodeFinite,
  encodeGate,
  encodeNorm,
  encodeRotate,
  encodeScale,
  encodeSoftcap,
  nonFiniteRow,
  WEIGHT_TYPES,
  type ActivationFunction,
} from '../../src/model/index.ts';
import { randomValues, roundToHalf } from '../support/cases.ts';
import { ACTIVATION_FUNCTIONS, normed, randomMatrix, TYPES } from './support.ts';

const CLOSE = { rtol: 2e-5, atol: 1e-5 };

describeGpu('operations on rows', (gpu) => {
  let context: GpuContext;
  beforeAll(async () => {
    context = contextOf(await requestHipDevice(await gpu.adapter()));
  });
  afterAll(() => context.device.destroy());

  const tensor = (values: Float32Array, type: 'f32' | 'f16' = 'f32'): GpuTensor => uploadTensor(context, values, type);
  const empty = (length: number): GpuTensor => emptyTensor({ context, type: 'f32', length });
  const words = (values: readonly number[]): { buffer: GPUBuffer } => {
    const buffer = context.device.createBuffer({ size: 4 * values.length, usage: 0x80 | 0x08 | 0x04 });
    context.device.queue.writeBuffer(buffer, 0, Uint32Array.from(values));
    return { buffer };
  };
  const run = (encode: (call: GpuCall) => void): void => {
    const call = new GpuCall(context);
    encode(call);
    call.submit();
  };

  it.each(Object.keys(ACTIVATION_FUNCTIONS) as ActivationFunction[])(
    '%s, with a factor and in place',
    async (activation) => {
      const values = Float32Array.from([
        ...randomValues(1500, 4).map((x) => x * 12),
        3e38,
        -3e38,
        1e4,
        -1e4,
        100,
        -100,
        0,
      ]);
      const factors = randomValues(values.length, 5);
      const f = ACTIVATION_FUNCTIONS[activation];
      const { length } = values;
      const [x, out] = [tensor(values), empty(length)];
      run((call) => {
        encodeGate(call, { x, up: tensor(factors), out }, { length, activation });
        encodeGate(call, { x, out: x }, { length, activation });
      });
      const expected = Float64Array.from(values, (value) => Math.fround(f(value)));
      expect(await readTensor(context, x)).toBeAllclose(expected, CLOSE);
      expect(await readTensor(context, out)).toBeAllclose(
        expected.map((value, i) => Math.fround(value * factors[i]!)),
        CLOSE,
      );
      const odd = tensor(Float32Array.of(NaN));
      run((call) => encodeGate(call, { x: odd, out: odd }, { length: 1, activation }));
      expect(await readTensor(context, odd)).toEqual(Float32Array.of(NaN));
    },
  );

  it('norms of rows, apart, in place, of f16, added', async () => {
    for (const [rows, width, kind] of [
      [3, 53, 'rms'],
      [2, 300, 'layer'],
      [1, 1, 'rms'],
    ] as const) {
      const values = roundToHalf(randomValues(rows * width, width).map((x) => x * 3 + 0.5));
      const [weights, offsets] = [randomValues(width, 3), randomValues(width, 4)];
      const before = randomValues(rows * width, 9);
      const options = { kind, rows, width, epsilon: 1e-3 };
      const withBias = kind === 'layer';
      const all = {
        ...options,
        weight: tensor(weights),
        unitOffset: !withBias,
        ...(withBias ? { bias: tensor(offsets) } : {}),
      };
      const [x, out, added] = [tensor(values), empty(rows * width), tensor(before)];
      run((call) => {
        encodeNorm(call, { x: tensor(values, 'f16'), out }, all);
        encodeNorm(call, { x, out: added }, all, { add: true, scale: 0.5 });
        encodeNorm(call, { x, out: x }, options);
      });
      const centred = kind === 'layer';
      const expected = normed(values, width, {
        centred,
        epsilon: 1e-3,
        weight: weights.map((w) => w + (withBias ? 0 : 1)),
        bias: withBias ? offsets : undefined,
      });
      expect(await readTensor(context, out)).toBeAllclose(expected, CLOSE);
      expect(await readTensor(context, added)).toBeAllclose(
        expected.map((value, i) => before[i]! + 0.5 * value),
        CLOSE,
      );
      expect(await readTensor(context, x)).toBeAllclose(normed(values, width, { centred, epsilon: 1e-3 }), CLOSE);
    }
  });

  it('rotation of halves and of neighbours, whole heads or their first numbers, normed before or not', async () => {
    for (const [rows, headDim, rotaryDim, interleaved, withNorm] of [
      [3, 32, 32, false, true],
      // A few lanes a head, more rows than a workgroup.
      [7, 64, 64, false, true],
      [2, 16, 16, false, false],
      [2, 20, 8, true, true],
      [1, 9, 6, false, false],
    ] as const) {
      const counts = [4, 2];
      const half = rotaryDim / 2;
      const angles = randomValues(rows * half, 2).map((x) => x * 3);
      const tables = { cos: tensor(angles.map(Math.cos)), sin: tensor(angles.map(Math.sin)) };
      const values = counts.map((count, s) => randomValues(rows * count * headDim, s));
      const weights = counts.map((_, s) => randomValues(headDim, 20 + s));
      const tensors = values.map((each) => tensor(each));
      const [queriesOut, keysOut] = [empty(rows * 4 * headDim), empty(rows * 2 * headDim)];
      const isApart = headDim % 16 === 0 && headDim !== 32;
      const norm = (s: number) =>
        withNorm ? { norm: { weight: tensor(weights[s]!), epsilon: 1e-3, unitOffset: s === 1 } } : {};
      run((call) =>
        encodeRotate(
          call,
          {
            heads: [
              { x: tensors[0]!, count: 4, ...norm(0), ...(isApart && { out: queriesOut }) },
              { x: tensors[1]!, out: keysOut, count: 2, ...norm(1) },
            ],
            tables,
          },
          { rows, headDim, rotaryDim, interleaved },
        ),
      );
      for (const [s, count] of counts.entries()) {
        const before = withNorm
          ? normed(values[s]!, headDim, { epsilon: 1e-3, weight: weights[s]!.map((w) => w + (s === 1 ? 1 : 0)) })
          : Float64Array.from(values[s]!);
        const expected = before.slice();
        for (let head = 0; head < rows * count; head++) {
          for (let i = 0; i < half; i++) {
            const at = head * headDim;
            const [a, b] = interleaved ? [at + 2 * i, at + 2 * i + 1] : [at + i, at + half + i];
            const angle = angles[Math.floor(head / count) * half + i]!;
            expected[a] = before[a]! * Math.cos(angle) - before[b]! * Math.sin(angle);
            expected[b] = before[b]! * Math.cos(angle) + before[a]! * Math.sin(angle);
          }
        }
        expect(await readTensor(context, s === 1 ? keysOut : isApart ? queriesOut : tensors[0]!)).toBeAllclose(
          expected,
          CLOSE,
        );
      }
    }
    // No tables: norms alone.
    const values = randomValues(2 * 3 * 16, 5);
    const x = tensor(values);
    run((call) => encodeRotate(call, { heads: [{ x, count: 3, norm: { epsilon: 1e-3 } }] }, { rows: 2, headDim: 16 }));
    expect(await readTensor(context, x)).toBeAllclose(normed(values, 16, { epsilon: 1e-3 }), CLOSE);
  });

  it('sums, factors and soft-caps', async () => {
    const length = 1030;
    const [a, b] = [randomValues(length, 1), randomValues(length, 2).map((x) => x * 100)];
    const [x, y, z] = [tensor(a), tensor(b), tensor(b)];
    run((call) => {
      encodeAddScaled(call, { x, out: y }, { length, scale: -0.5 });
      encodeSoftcap(call, z, { length, cap: 30 });
      encodeScale(call, x, { length, factor: 3 });
    });
    expect(await readTensor(context, y)).toBeAllclose(
      b.map((v, i) => v - 0.5 * a[i]!),
      CLOSE,
    );
    expect(await readTensor(context, z)).toBeAllclose(
      b.map((v) => 30 * Math.tanh(v / 30)),
      CLOSE,
    );
    expect(await readTensor(context, x)).toBeAllclose(
      a.map((v) => 3 * v),
      CLOSE,
    );
  });

  it('looks rows of every type up, on several buffers; an id that is no row becomes NaN', async () => {
    const small = new GpuContext(context.device);
    Object.assign(small, { limits: { ...context.limits, maxStorageBufferBindingSize: 2048 } });
    for (const type of TYPES) {
      const columns = WEIGHT_TYPES[type].values === 1 ? 53 : WEIGHT_TYPES[type].values;
      const { bytes, values } = randomMatrix(type, 40, columns, 3);
      using matrix = createGpuMatrix(small, { type, rows: 40, columns });
      // In two parts: rows may come as they are read.
      const cut = 13 * (bytes.length / 40);
      matrix.write(0, bytes.subarray(0, cut));
      matrix.write(13, bytes.subarray(cut));
      const ids = [7, 39, 0, 12, 13, 39];
      const out = empty(ids.length * columns);
      const call = new GpuCall(small);
      encodeEmbed(call, { out, ids: words(ids), matrix }, { rows: ids.length, scale: 2 });
      if (type === 'F32') encodeEmbed(call, { out, ids: words([...ids.slice(1), 40]), matrix }, { rows: 6, add: true });
      call.submit();
      const row = (id: number): number[] => [...values.subarray(id * columns, (id + 1) * columns)];
      const expected = ids.flatMap((id, i) => {
        if (type !== 'F32') return row(id).map((v) => 2 * v);
        return row(id).map((v, c) => 2 * v + (i === 5 ? NaN : row(ids[i + 1]!)[c]!));
      });
      const actual = await readTensor(context, out);
      expect([...actual].map(Number.isNaN)).toEqual(expected.map(Number.isNaN));
      const sound = type === 'F32' ? 5 * columns : expected.length;
      expect(actual.subarray(0, sound)).toBeAllclose(Float32Array.from(expected.slice(0, sound)), {
        rtol: 1e-6,
        atol: 1e-7,
      });
    }
  });

  it('names the first row that is not finite', async () => {
    const x = new Float32Array(5 * 70);
    const found = words([77]);
    const check = async (type: 'f32' | 'f16'): Promise<number> => {
      run((call) => encodeFinite(call, { x: tensor(x, type), found }, { rows: 5, width: 70 }));
      const word = await readTensor(context, { buffer: found.buffer, type: 'f32', length: 1 });
      return nonFiniteRow(new Uint32Array(word.buffer)[0]!, 5);
    };
    expect(await check('f32')).toBe(-1);
    x[4 * 70 + 1] = Infinity;
    x[2 * 70 + 69] = NaN;
    expect(await check('f32')).toBe(2);
    expect(await check('f16')).toBe(2);
  });

  it('refuses what does not fit, by name', () => {
    const call = new GpuCall(context);
    const x = empty(8);
    const refused = (code: string, message: RegExp) =>
      expect.objectContaining({ code, message: expect.stringMatching(message) });
    const norm = { kind: 'rms', rows: 2, width: 4, epsilon: 1e-3 } as const;
    expect(() => encodeNorm(call, { x, out: x }, { ...norm, rows: 3 })).toThrow(
      refused('invalid-shape', /out holds 8/),
    );
    expect(() => encodeNorm(call, { x, out: x }, { ...norm, epsilon: NaN })).toThrow(
      refused('invalid-config', /epsilon is NaN/),
    );
    expect(() => encodeNorm(call, { x, out: x }, norm, { add: true })).toThrow(refused('invalid-shape', /one tensor/));
    expect(() => encodeNorm(call, { x, out: x }, { ...norm, weight: { ...x, type: 'f16' } })).toThrow(
      refused('unsupported', /weight is f16/),
    );
    expect(() => encodeRotate(call, { heads: [{ x, count: 1 }] }, { rows: 1, headDim: 4, rotaryDim: 3 })).toThrow(
      refused('invalid-shape', /rotaryDim is 3/),
    );
    expect(() => encodeGate(call, { x, out: x }, { length: 8, activation: 'swish' as ActivationFunction })).toThrow(
      refused('unsupported', /activation is swish: give one of identity, silu/),
    );
    expect(() => encodeSoftcap(call, x, { length: 8, cap: 0 })).toThrow(refused('invalid-config', /cap is 0/));
    expect(() => encodeScale(call, x, { length: 9, factor: 1 })).toThrow(refused('invalid-shape', /out holds 8/));
  });
});
