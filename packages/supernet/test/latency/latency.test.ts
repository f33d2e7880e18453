// Latency measurement: what is run, how it is summarised, and the table's reuse. No assertion on times.
import * as tf from '@tensorflow/tfjs';
import * as fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { fullSubnet, sampleSubnet, smallestSubnet } from '../../src/elastic/subnets.ts';
import { measureLatencies, measureLatency, summarize } from '../../src/latency/measure.ts';
import { LatencyTable } from '../../src/latency/table.ts';
import { denseAttention } from '../../src/model/attention/dense.ts';
import type { AttentionFunction } from '../../src/model/types.ts';
import { SeededRandom } from '../../src/random.ts';
import { useBackend } from '../helpers/backend.ts';
import { tinyLlama } from '../helpers/tiny.ts';

beforeAll(() => useBackend('wasm'));

/** Dense attention that writes down the head counts it was called with. */
function spy(): { attention: AttentionFunction; heads: number[]; shapes: string[] } {
  const heads: number[] = [];
  const shapes: string[] = [];
  const attention: AttentionFunction = (q, k, v, context) => {
    if (context.layer === 0) {
      heads.push(q.shape[2]);
      shapes.push(`${q.shape[0]}×${q.shape[1]}`);
    }
    return denseAttention(q, k, v, context);
  };
  return { attention, heads, shapes };
}

describe('measureLatencies', () => {
  it.each(['extracted', 'sliced'] as const)(
    'runs the sub-networks in turn, warm-up first, frees everything (%s)',
    async (mode) => {
      const model = tinyLlama();
      const before = tf.memory().numTensors;
      const { attention, heads, shapes } = spy();
      const subnets = [fullSubnet(model.space), smallestSubnet(model.space)];
      const [full, small] = await measureLatencies(model, subnets, {
        batch: 2,
        sequence: 5,
        warmup: 1,
        repeats: 3,
        mode,
        attention,
      });
      expect(heads).toEqual([4, 2, 4, 2, 4, 2, 4, 2]);
      expect(new Set(shapes)).toEqual(new Set(['2×5']));
      expect([full!.repeats, small!.repeats]).toEqual([3, 3]);
      // Rotary tables stay with the model.
      expect(tf.memory().numTensors).toBeLessThanOrEqual(before + 2);
      model.dispose();
    },
  );

  it('can be aborted and frees its copies', async () => {
    const model = tinyLlama();
    await measureLatency(model);
    const before = tf.memory().numTensors;
    const controller = new AbortController();
    const run = measureLatency(model, smallestSubnet(model.space), {
      signal: controller.signal,
      onProgress: ({ passes }) => passes === 2 && controller.abort(),
    });
    await expect(run).rejects.toMatchObject({ code: 'aborted' });
    expect(tf.memory().numTensors).toBe(before);
    await expect(measureLatency(model, undefined, { repeats: 0 })).rejects.toMatchObject({ code: 'invalid-option' });
    model.dispose();
  });

  it('summarises by order statistics', () => {
    expect(summarize([5, 1, 2, 100, 3])).toEqual({ medianMs: 3, lowerMs: 2, upperMs: 5, minMs: 1, repeats: 5 });
    fc.assert(
      fc.property(fc.array(fc.double({ min: 0.1, max: 1e4, noNaN: true }), { minLength: 1 }), (times) => {
        const { minMs, lowerMs, medianMs, upperMs } = summarize(times);
        expect(minMs).toBe(Math.min(...times));
        expect(lowerMs).toBeGreaterThanOrEqual(minMs);
        expect(medianMs).toBeGreaterThanOrEqual(lowerMs);
        expect(upperMs).toBeGreaterThanOrEqual(medianMs);
        expect(times.filter((t) => t <= medianMs).length * 2).toBeGreaterThanOrEqual(times.length);
      }),
    );
  });
});

describe('LatencyTable', () => {
  it('measures what it does not know, once, also across studies', async () => {
    const model = tinyLlama();
    const random = new SeededRandom(1);
    const candidate = sampleSubnet(model.space, random.next);
    const { attention, heads } = spy();
    const options = { sequence: 4, warmup: 0, repeats: 2, attention, attentionName: 'spy', device: 'here' };
    const table = await LatencyTable.open(model, options);
    const first = await table.latencies([candidate, fullSubnet(model.space), candidate]);
    expect(heads).toHaveLength(4);
    expect(first[2]).toEqual(first[0]);
    const stored = JSON.parse(JSON.stringify(table)) as unknown;
    const next = await LatencyTable.open(model, options, stored);
    expect(next.size).toBe(2);
    expect(await next.latency(candidate)).toEqual(first[0]);
    expect(heads).toHaveLength(4);
    // Another device or shape starts empty and keeps the old figures.
    const elsewhere = await LatencyTable.open(model, { ...options, device: 'there' }, stored);
    expect(elsewhere.size).toBe(0);
    await elsewhere.latency(candidate);
    expect(elsewhere.toJSON().tables).toHaveLength(2);
    expect((await LatencyTable.open(model, { ...options, sequence: 5 }, stored)).size).toBe(0);
    model.dispose();
  });

  it('reads what a coarse clock measured: passes shorter than its tick', async () => {
    const model = tinyLlama();
    const table = await LatencyTable.open(model, { device: 'browser', sequence: 4 });
    const zero = { medianMs: 0, lowerMs: 0, upperMs: 0.1, minMs: 0, repeats: 9 };
    const stored = { version: 1, tables: [{ conditions: table.conditions, entries: { key: zero } }] };
    expect((await LatencyTable.open(model, { device: 'browser', sequence: 4 }, stored)).size).toBe(1);
    model.dispose();
  });

  it('says where a stored table is damaged', async () => {
    const model = tinyLlama();
    await expect(LatencyTable.open(model, {}, { version: 1, tables: [{}] })).rejects.toMatchObject({
      code: 'invalid-data',
    });
    model.dispose();
  });
});
