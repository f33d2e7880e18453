// Engines against stored outputs: open, feed, and say how far off the logits are.
import { fileSource, openSafetensors } from '@hip/checkpoints';
import { loadEngine } from '../../src/engine/load.ts';
import type { Engine, EngineOptions, Sequence } from '../../src/engine/types.ts';

/** Tensors of a safetensors file by name. */
export async function tensorsOf(path: string): Promise<Map<string, Float32Array | Int32Array>> {
  const file = await openSafetensors(await fileSource(path));
  const tensors = new Map<string, Float32Array | Int32Array>();
  for (const name of file.tensors.keys()) tensors.set(name, (await file.read(name)).data);
  await file.close();
  return tensors;
}

/** Largest difference, relative to the largest expected value. */
export function relativeError(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  let [scale, worst] = [0, actual.length === expected.length ? 0 : Infinity];
  for (let i = 0; i < expected.length; i++) {
    scale = Math.max(scale, Math.abs(expected[i] as number));
    const difference = Math.abs((actual[i] as number) - (expected[i] as number));
    // NaN is as far off as can be.
    worst = difference <= worst ? worst : Number.isNaN(difference) ? Infinity : difference;
  }
  return worst / scale;
}

/** Root of the summed squared differences, relative to the expected values'. */
export function normError(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  let [difference, size] = [actual.length === expected.length ? 0 : Infinity, 0];
  for (let i = 0; i < expected.length; i++) {
    difference += ((actual[i] as number) - (expected[i] as number)) ** 2;
    size += (expected[i] as number) ** 2;
  }
  return Math.sqrt(difference / size);
}

/** Rows whose largest value is another one, though it leads by more than `margin` of the largest of all. */
export function otherChoices(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  width: number,
  margin: number,
): number[] {
  const scale = Array.from(expected).reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const [found, wanted] = [argmaxRows(actual, width), argmaxRows(expected, width)];
  return wanted.flatMap((best, row) => {
    const lead = (expected[row * width + best] as number) - (expected[row * width + (found[row] as number)] as number);
    return found[row] !== best && lead > margin * scale ? [row] : [];
  });
}

/** Index of the largest of each row. */
export function argmaxRows(values: ArrayLike<number>, width: number): number[] {
  return Array.from({ length: values.length / width }, (_, row) => {
    let best = 0;
    for (let i = 1; i < width; i++) {
      if ((values[row * width + i] as number) > (values[row * width + best] as number)) best = i;
    }
    return best;
  });
}

/** Ids chosen greedily after the prompt. */
export async function greedy(sequence: Sequence, prompt: ArrayLike<number>, count: number): Promise<number[]> {
  const ids: number[] = [];
  let logits = await sequence.forward(prompt);
  while (ids.length < count) {
    const [id] = argmaxRows(logits, logits.length) as [number];
    ids.push(id);
    if (ids.length < count) logits = await sequence.forward([id]);
  }
  return ids;
}

/** Runs `work` with an engine of one thread, which is ended afterwards. */
export async function withEngine<T>(
  source: Parameters<typeof loadEngine>[0],
  options: EngineOptions,
  work: (engine: Engine) => Promise<T>,
): Promise<T> {
  const engine = await loadEngine(source, { threads: 1, ...options });
  try {
    return await work(engine);
  } finally {
    engine.close();
  }
}
