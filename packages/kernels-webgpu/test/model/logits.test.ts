// Candidates and losses against sorting and float64.
import { afterAll, beforeAll, expect, it } from 'vitest';
import fc from 'fast-check';
import { describeGpu } from '@hip/testing';
import { requestHipDevice } from '../../src/device/request.ts';
import { GpuCall } from '../../src/dispatch/call.ts';
import { contextOf, type GpuContext } from '../../src/dispatch/context.ts';
import { emptyTensor, readBytes, readTensor, uploadTensor } from '../../src/dispatch/tensor.ts';
import { encodeLosses, encodeTop, readTop, topBytes, type Candidates } from '../../src/model/index.ts';
import { randomValues } from '../support/cases.ts';

describeGpu('logits', (gpu) => {
  let context: GpuContext;
  beforeAll(async () => {
    context = contextOf(await requestHipDevice(await gpu.adapter()));
  });
  afterAll(() => context.device.destroy());

  async function topOf(
    logits: Float32Array,
    options: { rows: number; vocabulary: number; count: number; temperature?: number },
    temperatures?: readonly number[],
  ): Promise<Candidates[]> {
    const buffer = context.device.createBuffer({ size: topBytes(options), usage: 0x80 | 0x08 | 0x04 });
    const call = new GpuCall(context);
    const inverseTemperatures =
      temperatures &&
      uploadTensor(
        context,
        Float32Array.from(temperatures, (t) => 1 / t),
        'f32',
      );
    encodeTop(call, { logits: uploadTensor(context, logits, 'f32'), out: { buffer }, inverseTemperatures }, options);
    call.submit();
    return readTop(await readBytes(context, buffer, 0, topBytes(options)), options);
  }

  it('finds the largest exactly, ties by the lowest id, and the sum of exponentials', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(5, 1025),
        fc.constantFrom(1, 40),
        fc.constantFrom(1, 2),
        // Coarse logits have many ties.
        fc.constantFrom(4, 1e6),
        fc.constantFrom(undefined, 0.5),
        fc.nat(1000),
        async (vocabulary, count, rows, levels, temperature, seed) => {
          const logits = randomValues(rows * vocabulary, seed).map((x) => Math.round(x * levels) / levels - 0.25);
          const temperatures = temperature && Array.from({ length: rows }, (_, row) => temperature + row);
          const found = await topOf(logits, { rows, vocabulary, count }, temperatures);
          for (let row = 0; row < rows; row++) {
            const own = logits.subarray(row * vocabulary, (row + 1) * vocabulary);
            const order = Array.from(own, (_, i) => i).toSorted((a, b) => own[b]! - own[a]! || a - b);
            const { ids, logits: values, max, sum, temperedSum, nonFinite } = found[row]!;
            expect([...ids]).toEqual(order.slice(0, count));
            expect([...values]).toEqual(order.slice(0, count).map((i) => own[i]));
            expect(max).toBe(own[order[0]!]);
            const sumAt = (t: number) => own.reduce((total, value) => total + Math.exp((value - max) / t), 0);
            expect(Math.abs(sum / sumAt(1) - 1)).toBeLessThan(1e-5);
            expect(Math.abs(temperedSum / sumAt(temperatures?.[row] ?? 1) - 1)).toBeLessThan(1e-5);
            expect(nonFinite).toBe(0);
          }
        },
      ),
      { numRuns: 4 },
    );
  });

  it('counts what is not finite, and sums at one temperature the rest', async () => {
    const logits = randomValues(3000, 2);
    logits[7] = NaN;
    logits[2999] = Infinity;
    logits[1500] = -Infinity;
    const [found] = await topOf(logits, { rows: 1, vocabulary: 3000, count: 40, temperature: 0.7 });
    expect(found!.nonFinite).toBe(3);
    const warm = logits.reduce((total, x) => total + (Number.isFinite(x) ? Math.exp((x - found!.max) / 0.7) : 0), 0);
    expect(Math.abs(found!.temperedSum / warm - 1)).toBeLessThan(1e-5);
    await expect(topOf(logits, { rows: 1, vocabulary: 3000, count: 257 })).rejects.toMatchObject({
      code: 'invalid-shape',
      message: expect.stringContaining('at most 256'),
    });
  });

  it('losses of given tokens; NaN where a logit is not finite or the token is none', async () => {
    const [rows, vocabulary] = [5, 1300];
    const logits = randomValues(rows * vocabulary, 3).map((x) => 40 * x);
    logits[3 * vocabulary + 5] = -Infinity;
    const ids = [0, 1299, 640, 3, 1300];
    const targets = context.device.createBuffer({ size: 20, usage: 0x80 | 0x08 });
    context.device.queue.writeBuffer(targets, 0, Uint32Array.from(ids));
    const out = emptyTensor({ context, type: 'f32', length: rows });
    const call = new GpuCall(context);
    encodeLosses(
      call,
      { logits: uploadTensor(context, logits, 'f32'), targets: { buffer: targets }, out },
      { rows, vocabulary },
    );
    call.submit();
    const losses = await readTensor(context, out);
    for (let row = 0; row < 3; row++) {
      const own = logits.subarray(row * vocabulary, (row + 1) * vocabulary);
      const most = Math.max(...own);
      const expected = Math.log(own.reduce((sum, value) => sum + Math.exp(value - most), 0)) + most - own[ids[row]!]!;
      expect(Math.abs(losses[row]! - expected)).toBeLessThan(2e-5 * (1 + expected));
    }
    expect([...losses.subarray(3)]).toEqual([NaN, NaN]);
  });
});
