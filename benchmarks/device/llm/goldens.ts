// How far the GPU's numbers are from transformers', and from WebAssembly's.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { openSafetensors, fileSource } from '@hip/checkpoints';
import { loadEngine } from '../../../packages/llm/src/engine/load.ts';
import { round, timed, withEngine, type Surroundings } from './measure.ts';
import { randomIds, randomModel } from './shapes.ts';

/** Largest difference of two rows of logits, relative to the largest. */
function relativeError(found: ArrayLike<number>, expected: ArrayLike<number>): number {
  let [scale, worst] = [0, 0];
  for (let i = 0; i < expected.length; i++) {
    scale = Math.max(scale, Math.abs(expected[i]!));
    worst = Math.max(worst, Math.abs(found[i]! - expected[i]!));
  }
  return worst / scale;
}

const argmax = (row: Float32Array): number => row.indexOf(row.reduce((a, b) => Math.max(a, b), -Infinity));

/** Goldens of transformers, and this GPU against WebAssembly on a random model of a real shape. */
export async function check(at: Surroundings): Promise<void> {
  const goldens = process.env['GOLDENS'] ?? '';
  for (const name of ['mistral', 'gemma3-text', 'qwen3-yarn', 'phi3', 'smollm3', 'llama-gqa', 'gpt2']) {
    const folder = join(goldens, name);
    if (!existsSync(folder)) continue;
    for (const weights of ['f32', 'f16'] as const) {
      const file = await openSafetensors(await fileSource(join(folder, 'golden.safetensors')));
      const ids = (await file.read('in.input_ids')).data as Int32Array;
      const expected = (await file.read('out.logits')).data as Float32Array;
      await file.close();
      await withEngine(at, folder, { weights, cache: weights }, async (engine) => {
        const { vocabulary } = engine;
        const length = Math.min(
          ids.length,
          ids.length / (['mistral', 'gemma3-text', 'qwen3-yarn', 'phi3', 'smollm3'].includes(name) ? 1 : 2),
        );
        const found = await engine.createSequence().forward(ids.subarray(0, length), { logits: 'all' });
        const wanted = expected.subarray(0, length * vocabulary);
        const steps = engine.createSequence();
        await steps.forward(ids.subarray(0, length - 2), { logits: 'none' });
        await steps.forward(ids.subarray(length - 2, length - 1));
        const stepped = await steps.forward(ids.subarray(length - 1, length));
        at.add({
          what: 'golden',
          name,
          weights,
          error: round(relativeError(found, wanted)),
          stepError: round(relativeError(stepped, wanted.subarray(-vocabulary))),
        });
      });
    }
  }
  if (process.env['CHECK'] === 'goldens') return;
  const shape = at.tiny ? 'tiny' : 'smollm2-135m';
  const folder = randomModel(shape, 'F16');
  const prompt = randomIds(at.tiny ? 40 : 300, 500);
  const cpu = await loadEngine(folder, { backend: 'wasm', weights: 'f32', cache: 'f32', contextTokens: 1024 });
  const reference = await cpu.createSequence().forward(prompt);
  cpu.close();
  for (const weights of ['stored', 'q8', 'q4'] as const) {
    await withEngine(at, folder, { weights, contextTokens: 1024 }, async (engine) => {
      const whole = await engine.createSequence().forward(prompt);
      const sequence = engine.createSequence();
      await sequence.forward(prompt.subarray(0, -1), { logits: 'none' });
      const stepped = await sequence.forward(prompt.subarray(-1));
      at.add({
        what: 'wasm',
        shape,
        weights,
        error: round(relativeError(whole, reference)),
        stepError: round(relativeError(stepped, reference)),
        argmax: [argmax(whole), argmax(stepped), argmax(reference)],
      });
    });
  }
}

/** SmolLM2 as published: losses of books. */
export async function perplexity(at: Surroundings): Promise<void> {
  const model = process.env['SMOLLM2'] ?? '';
  const books = process.env['BOOKS'] ?? '';
  if (!existsSync(model) || !existsSync(books)) return;
  const file = await openSafetensors(await fileSource(books));
  for (const [name, config] of [
    ['dense', 'dense'],
    ['default', undefined],
  ] as const) {
    await withEngine(at, model, { contextTokens: 8192, ...(config && { attention: config }) }, async (engine) => {
      for (const window of ['war-and-peace.0', 'moby-dick.0']) {
        if (!file.tensors.has(`${window}.input_ids`)) continue;
        const ids = (await file.read(`${window}.input_ids`)).data as Int32Array;
        const expected = (await file.read(`${window}.nll`)).data as Float32Array;
        const length = at.tiny ? 64 : ids.length;
        const sequence = engine.createSequence();
        const { ms, value } = await timed(() => sequence.losses(ids.subarray(0, length)));
        sequence.dispose();
        const mean = (values: Float32Array): number =>
          values.subarray(0, length - 1).reduce((a, b) => a + b, 0) / (length - 1);
        at.add({
          what: 'perplexity',
          attention: name,
          window,
          tokens: length,
          ms: round(ms),
          perplexity: round(Math.exp(mean(value)), 5),
          reference: round(Math.exp(mean(expected)), 5),
          ratio: round(Math.exp(mean(value) - mean(expected)), 5),
        });
      }
    });
  }
}
