// What transformers computed: all positions, steps over the cache and greedy ids of every causal golden, in float32 and in float16; the
// families' fixtures of @hip/checkpoints (Gemma 2, Granite, OLMo 2, biases, partial rotation, odd sizes), which are transformers' too.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { missingShared, sharedPath } from '@hip/testing';
import type { EngineOptions } from '../../src/engine/types.ts';
import { greedy, normError, otherChoices, relativeError, tensorsOf, withEngine } from '../helpers/compare.ts';

const SHARED = [
  ['llama-gqa', 'golden'],
  ['llama3-rope', 'golden'],
  ['qwen2', 'golden'],
  ['gpt2', 'golden'],
  ['mistral', 'golden'],
  ['gemma3-text', 'golden'],
  ['phi3', 'golden'],
  ['phi3-longrope', 'golden'],
  ['phi3-longrope', 'golden-long'],
  ['phi3-longrope', 'golden-cross'],
  ['smollm3', 'golden'],
  ['qwen3-yarn', 'golden'],
] as const;

type Measure = (actual: ArrayLike<number>, expected: ArrayLike<number>) => number;

// What float16 weights alone cost in float64 is 2.4e-3 of the largest logit of phi3, 1.2e-3 of all logits' norm.
const PATHS: readonly (readonly [string, EngineOptions, number, Measure])[] = [
  ['float32', { weights: 'f32', cache: 'f32' }, 2e-4, relativeError],
  ['as stored, cache in float16', {}, 2e-3, relativeError],
  ['float16', { weights: 'f16' }, 2e-3, normError],
];

const FIXTURES = join(import.meta.dirname, '../../../checkpoints/test/fixtures/families');
const families = readdirSync(FIXTURES, { withFileTypes: true }).flatMap((entry) =>
  entry.isDirectory() ? [entry.name] : [],
);

describe.skipIf(missingShared('goldens'))(`shared goldens${missingShared('goldens')}`, () => {
  describe.each(SHARED)('%s %s', (folder, file) => {
    it.each(PATHS)('%s', async (_, options, tolerance, measure) => {
      const path = sharedPath('goldens', folder)!;
      const tensors = await tensorsOf(join(path, `${file}.safetensors`));
      const [ids, expected] = [tensors.get('in.input_ids')!, tensors.get('out.logits')!];
      await withEngine(path, options, async (engine) => {
        const { vocabulary } = engine;
        const batch = tensors.has('in.next_ids') ? 1 : folder === 'llama3-rope' ? 1 : 2;
        const length = ids.length / batch;
        for (let at = 0; at < batch; at++) {
          const sequence = engine.createSequence();
          const part = expected.subarray(at * length * vocabulary, (at + 1) * length * vocabulary);
          const logits = await sequence.forward(ids.subarray(at * length, (at + 1) * length), { logits: 'all' });
          expect(measure(logits, part)).toBeLessThan(tolerance);
          expect(otherChoices(logits, part, vocabulary, tolerance)).toEqual([]);
          sequence.dispose();
        }
      });
    });

    const hasSteps = !['llama-gqa', 'llama3-rope', 'qwen2', 'gpt2'].includes(folder);
    it.each(hasSteps ? PATHS : [])(
      '%s, steps over the cache and greedy ids',
      async (_, options, tolerance, measure) => {
        const path = sharedPath('goldens', folder)!;
        const tensors = await tensorsOf(join(path, `${file}.safetensors`));
        const ids = tensors.get('in.input_ids')!;
        await withEngine(path, options, async (engine) => {
          const steps = engine.createSequence();
          await steps.forward(ids, { logits: 'none' });
          const rows: Float32Array[] = [];
          for (const id of tensors.get('in.next_ids')!) rows.push(await steps.forward([id]));
          const found = Float32Array.from(rows.flatMap((row) => [...row]));
          expect(measure(found, tensors.get('out.next_logits')!)).toBeLessThan(tolerance);
          expect(tensors.get('out.greedy_margin')![0]).toBeGreaterThan(0);
          const chosen = await greedy(engine.createSequence(), ids, 16);
          expect(chosen).toEqual([...tensors.get('out.greedy_ids')!]);
        });
      },
    );
  });
});

describe.each(families)('the fixture %s', (name) => {
  it.each(PATHS)('%s', async (_, options, tolerance, measure) => {
    const tensors = await tensorsOf(join(FIXTURES, name, 'golden.safetensors'));
    await withEngine(join(FIXTURES, name), options, async (engine) => {
      for (const [logits, tokens] of [
        ['logits', 24],
        ['logits12', 12],
      ] as const) {
        const expected = tensors.get(logits)!;
        const found = await engine.createSequence().forward(tensors.get('ids')!.subarray(0, tokens), { logits: 'all' });
        // A float16 cache of 24 numbers' width: by all logits, not by the worst.
        expect((options.weights === 'f32' ? measure : normError)(found, expected)).toBeLessThan(tolerance);
      }
    });
  });
});
