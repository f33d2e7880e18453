// What transformers computed, as every backend is held to it: all positions, steps over the cache, greedy ids. What is wrong, in words.
import { join } from 'node:path';
import { sharedPath } from '@hip/testing';
import type { Engine, EngineOptions } from '../../src/engine/types.ts';
import { greedy, normError, otherChoices, tensorsOf, withEngine } from './compare.ts';

export type Measure = (actual: ArrayLike<number>, expected: ArrayLike<number>) => number;

/** How weights and cache are held, how far off logits may be, and by which measure. */
export interface GoldenPath {
  readonly options: EngineOptions;
  readonly tolerance: number;
  readonly measure: Measure;
}

/** Folders and files of the shared goldens. */
export const GOLDENS = [
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

/** Whether a golden has steps over the cache. */
export function hasSteps(folder: string): boolean {
  return !['llama-gqa', 'llama3-rope', 'qwen2', 'gpt2'].includes(folder);
}

/** Logits of all positions. */
export async function logitMisses(folder: string, file: string, path: GoldenPath): Promise<readonly string[]> {
  return withEngine(sharedPath('goldens', folder)!, path.options, async (engine) =>
    engineLogits(engine, folder, await golden(folder, file), path),
  );
}

/** Steps over the cache, and what is chosen greedily. */
export async function stepMisses(folder: string, file: string, path: GoldenPath): Promise<readonly string[]> {
  return withEngine(sharedPath('goldens', folder)!, path.options, async (engine) =>
    engineSteps(engine, await golden(folder, file), path),
  );
}

/** Both, of one engine: where loading costs more than computing. */
export async function goldenMisses(folder: string, file: string, path: GoldenPath): Promise<readonly string[]> {
  const tensors = await golden(folder, file);
  return withEngine(sharedPath('goldens', folder)!, path.options, async (engine) => {
    const misses = await engineLogits(engine, folder, tensors, path);
    return hasSteps(folder) ? [...misses, ...(await engineSteps(engine, tensors, path))] : misses;
  });
}

type Tensors = Awaited<ReturnType<typeof tensorsOf>>;

function golden(folder: string, file: string): Promise<Tensors> {
  return tensorsOf(join(sharedPath('goldens', folder)!, `${file}.safetensors`));
}

async function engineLogits(
  engine: Engine,
  folder: string,
  tensors: Tensors,
  { tolerance, measure }: GoldenPath,
): Promise<readonly string[]> {
  const misses: string[] = [];
  const [ids, expected] = [tensors.get('in.input_ids')!, tensors.get('out.logits')!];
  const { vocabulary } = engine;
  const batch = tensors.has('in.next_ids') || folder === 'llama3-rope' ? 1 : 2;
  const length = ids.length / batch;
  for (let at = 0; at < batch; at++) {
    const sequence = engine.createSequence();
    const part = expected.subarray(at * length * vocabulary, (at + 1) * length * vocabulary);
    const logits = await sequence.forward(ids.subarray(at * length, (at + 1) * length), { logits: 'all' });
    misses.push(...tooFar('logits', measure(logits, part), tolerance));
    const others = otherChoices(logits, part, vocabulary, tolerance);
    if (others.length > 0) misses.push(`rows ${others.join(', ')} have another largest logit`);
    sequence.dispose();
  }
  return misses;
}

async function engineSteps(
  engine: Engine,
  tensors: Tensors,
  { tolerance, measure }: GoldenPath,
): Promise<readonly string[]> {
  const ids = tensors.get('in.input_ids')!;
  const steps = engine.createSequence();
  await steps.forward(ids, { logits: 'none' });
  const rows: Float32Array[] = [];
  for (const id of tensors.get('in.next_ids')!) rows.push(await steps.forward([id]));
  steps.dispose();
  const found = Float32Array.from(rows.flatMap((row) => [...row]));
  const misses = tooFar('steps', measure(found, tensors.get('out.next_logits')!), tolerance);
  const [chosen, wanted] = [await greedy(engine.createSequence(), ids, 16), [...tensors.get('out.greedy_ids')!]];
  return chosen.join() === wanted.join() ? misses : [...misses, `chose ${chosen.join()}, not ${wanted.join()}`];
}

function tooFar(what: string, error: number, tolerance: number): readonly string[] {
  return error < tolerance ? [] : [`${what} are ${error} off`];
}

/** The folder of a family's fixture of `@hip/checkpoints`: all positions of two texts. */
export async function fixtureMisses(
  folder: string,
  { options, tolerance, measure }: GoldenPath,
): Promise<readonly string[]> {
  const tensors = await tensorsOf(join(folder, 'golden.safetensors'));
  return withEngine(folder, options, async (engine) => {
    const misses: string[] = [];
    for (const [logits, tokens] of [
      ['logits', 24],
      ['logits12', 12],
    ] as const) {
      const found = await engine.createSequence().forward(tensors.get('ids')!.subarray(0, tokens), { logits: 'all' });
      // A float16 cache of 24 numbers' width: by all logits, not by the worst.
      const by = options.weights === 'f32' ? measure : normError;
      misses.push(...tooFar(logits, by(found, tensors.get(logits)!), tolerance));
    }
    return misses;
  });
}
