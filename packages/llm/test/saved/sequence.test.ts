// Saved sequences of the WebAssembly engine: the next tokens of a sequence that was never saved; what is refused, and why.
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadEngine } from '../../src/engine/load.ts';
import type { Engine, EngineOptions, Sequence } from '../../src/engine/types.ts';
import { collect } from '../../src/saved/collect.ts';
import { readSaved, writeSaved } from '../../src/saved/document.ts';
import { tinyModel } from '../helpers/tiny.ts';

const text = (length: number, seed: number) => Array.from({ length }, (_, i) => (i * i * 7 + i * seed + seed) % 40);
const small = { k: 32, window: 64, sink: 4, refreshInterval: 4, denseLayers: 0 };
const common: EngineOptions = { backend: 'wasm', threads: 1, contextTokens: 700 };
const kinds: Record<string, EngineOptions> = {
  dense: { ...common, attention: 'dense' },
  'dense, float32': { ...common, attention: 'dense', cache: 'f32' },
  HiP: { ...common, attention: { config: small, denseBelow: 0 } },
};
const { files } = tinyModel();

async function bytesOf(engine: Engine, sequence: Sequence, own = {}): Promise<Uint8Array> {
  return collect(writeSaved(engine, await sequence.save(), own));
}

const restored = (engine: Engine, bytes: Parameters<typeof readSaved>[1]) => readSaved(engine, bytes, (own) => own);

describe.each(Object.entries(kinds))('%s', (_, options) => {
  let engine: Engine;
  let other: Engine;
  beforeAll(async () => {
    [engine, other] = [await loadEngine(files, options), await loadEngine(files, options)];
  });
  afterAll(() => {
    engine.close();
    other.close();
  });

  it('goes on as the sequence that was never saved, step by step, cut back, forked', async () => {
    const steps = fc.array(fc.tuple(fc.constantFrom(1, 1, 1, 5, 30), fc.nat(30)), { minLength: 1, maxLength: 6 });
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 280 }),
        steps,
        steps,
        fc.nat(3),
        async (length, before, after, cut) => {
          const sequence = engine.createSequence();
          await sequence.forward(text(length, 3), { logits: 'none' });
          for (const [count, seed] of before) await sequence.forward(text(count, seed), { logits: 'none' });
          const { sequence: again, tokens } = await restored(other, await bytesOf(engine, sequence));
          expect(tokens).toEqual(sequence.tokens);
          expect(again.tokens).toEqual(sequence.tokens);
          for (const each of [sequence, again]) each.truncate(Math.max(1, each.length - cut));
          const fork = again.fork();
          for (const [count, seed] of after) {
            const expected = await sequence.forward(text(count, seed));
            expect(await again.forward(text(count, seed))).toEqual(expected);
            expect(await fork.forward(text(count, seed))).toEqual(expected);
          }
          for (const each of [sequence, again, fork]) each.dispose();
        },
      ),
      { numRuns: 12 },
    );
    expect([engine.memory.cache, other.memory.cache]).toEqual([0, 0]);
  });
});

describe('what was saved', () => {
  let engine: Engine;
  let bytes: Uint8Array;
  let next: Float32Array;
  beforeAll(async () => {
    engine = await loadEngine(files, kinds['HiP']!);
    const sequence = engine.createSequence();
    await sequence.forward(text(160, 2));
    await sequence.forward([3]);
    bytes = await bytesOf(engine, sequence, { of: 'a test', not: Infinity, list: Float64Array.of(1.5, NaN) });
    next = await sequence.forward([4]);
    sequence.dispose();
  });
  afterAll(() => engine.close());

  it('comes in pieces of any lengths, from bytes, buffers, blobs and streams', async () => {
    async function* cut(size: number) {
      for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
    }
    const whole = bytes.slice() as Uint8Array<ArrayBuffer>;
    const inputs = [whole, whole.buffer, cut(1000), cut(7), new Blob([whole]), new Blob([whole]).stream(), [whole]];
    for (const input of inputs) {
      const { sequence, own } = await restored(engine, input);
      expect(own).toEqual({ of: 'a test', not: Infinity, list: Float64Array.of(1.5, NaN) });
      expect(await sequence.forward([4])).toEqual(next);
      sequence.dispose();
    }
    await expect(restored(engine, 5 as never)).rejects.toMatchObject({ code: 'invalid-input' });
  });

  it('is refused wherever a byte is another, or missing', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), async (at, change) => {
        const changed = bytes.slice();
        changed[at]! ^= change;
        await expect(restored(engine, changed)).rejects.toMatchObject({ code: 'saved-damaged' });
        await expect(restored(engine, bytes.subarray(0, at))).rejects.toMatchObject({ code: 'saved-damaged' });
      }),
      { numRuns: 60 },
    );
    for (const at of [0, 7, 8, 12, 20, bytes.length - 8, bytes.length - 1]) {
      const changed = bytes.slice();
      changed[at]! ^= 1;
      await expect(restored(engine, changed)).rejects.toMatchObject({ code: 'saved-damaged' });
    }
    await expect(restored(engine, new Uint8Array(0))).rejects.toMatchObject({ code: 'saved-damaged' });
    expect(engine.memory.cache).toBe(0);
  });

  it.each([
    ['another model', tinyModel({}, { seed: 2 }).files, kinds['HiP']!, 'fingerprint'],
    [
      'one weight of another value',
      tinyModel({}, { change: (name, values) => void (name.endsWith('1.ffn.up.weight') && (values[700]! += 1e-3)) })
        .files,
      kinds['HiP']!,
      'fingerprint',
    ],
    [
      'one norm of another value',
      tinyModel({}, { change: (name, values) => void (name === 'norm.weight' && (values[5]! += 1e-3)) }).files,
      kinds['HiP']!,
      'fingerprint',
    ],
    ['another rotation', tinyModel({ rope_theta: 9000 }).files, kinds['HiP']!, 'fingerprint'],
    ['weights of another type', files, { ...kinds['HiP']!, weights: 'q8' as const }, 'fingerprint'],
    ['another cache', files, { ...kinds['HiP']!, cache: 'f32' as const }, 'layout'],
    ['other attention', files, kinds['dense']!, 'layout'],
  ])('is refused by %s', async (_, other, options, what) => {
    const engine2 = await loadEngine(other, options);
    await expect(restored(engine2, bytes)).rejects.toMatchObject({ code: 'saved-mismatch', details: { what } });
    expect(engine2.memory.cache).toBe(0);
    engine2.close();
  });

  it('is refused by a context that is too short, a closed engine, a running step', async () => {
    const short = await loadEngine(files, { ...kinds['HiP']!, contextTokens: 50 });
    await expect(restored(short, bytes)).rejects.toMatchObject({ code: 'context-full', details: { tokens: 161 } });
    short.close();
    await expect(restored(short, bytes)).rejects.toMatchObject({ code: expect.stringMatching(/closed|context-full/) });
    const sequence = engine.createSequence();
    const running = sequence.forward(text(40, 1));
    await expect(sequence.save()).rejects.toMatchObject({ code: 'busy' });
    await running;
    // It may go on, and end, while it is saved.
    const saved = await sequence.save();
    const expected = sequence.tokens;
    await sequence.forward(text(20, 5));
    sequence.dispose();
    const { sequence: again } = await restored(engine, writeSaved(engine, saved, {}));
    expect(again.tokens).toEqual(expected);
    again.dispose();
    expect(engine.memory.cache).toBe(0);
  });
});
