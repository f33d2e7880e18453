// Prefill and tokens after it, of one session at every length.
import type { Runner, Tensors } from './sessions.ts';

const round = (value: number): number => Number(value.toPrecision(4));

/** What is measured. */
export interface Plan {
  readonly lengths: readonly number[];
  /** Tokens timed after each prefill. */
  readonly steps: number;
  /** Tokens of one call of the prefill. */
  readonly chunk: number;
  /** No length is begun after this, in `performance.now()`. */
  readonly deadline: number;
}

/** Rows of a runner; what fails is said in its row. */
export async function speedRows(
  runner: Runner,
  { lengths, steps, chunk, deadline }: Plan,
  vocabulary: number,
  log: (row: Record<string, unknown>, logits?: Float32Array) => void,
): Promise<void> {
  const ids = (tokens: number, at: number) =>
    Int32Array.from({ length: tokens }, (_, i) => ((at + i) * 7919) % vocabulary);
  const prefill = async (tokens: number): Promise<Tensors> => {
    let past: Tensors | undefined;
    for (let at = 0; at < tokens; at += chunk) {
      const next = await runner.step(ids(Math.min(chunk, tokens - at), at), past);
      release(past, next);
      past = next;
    }
    return past as Tensors;
  };
  // Shaders are compiled by the first call of each kind.
  let warm = await prefill(Math.min(512, lengths[0]!));
  for (let i = 0; i < 2; i++) warm = await advance(runner, warm, ids(1, i));
  release(warm, {});
  for (const tokens of lengths) {
    const row: Record<string, unknown> = { session: runner.name, tokens };
    if (performance.now() > deadline) {
      log({ ...row, failure: 'no time was left' });
      continue;
    }
    try {
      // The first chunk of a length meets shaders that nobody has compiled.
      if (tokens <= chunk) {
        const first = performance.now();
        release(await prefill(tokens), {});
        row['firstPrefillMs'] = round(performance.now() - first);
      }
      runner.pieces?.();
      const start = performance.now();
      let past = await prefill(tokens);
      row['prefillMs'] = round(performance.now() - start);
      if (runner.pieces) row['ofPrefillInRunsMs'] = round(runner.pieces().runMs);
      const times: number[] = [];
      const runs: number[] = [];
      for (let step = 0; step < steps; step++) {
        runner.pieces?.();
        const before = performance.now();
        past = await advance(runner, past, ids(1, tokens + step));
        times.push(performance.now() - before);
        runs.push(runner.pieces?.().runMs ?? Number.NaN);
      }
      // The first token after a prefill has shaders of its own.
      times.shift();
      times.sort((a, b) => a - b);
      row['tokenMs'] = round(times[times.length >> 1]!);
      row['tokenMsBest'] = round(times[0]!);
      runs.sort((a, b) => a - b);
      if (runner.pieces) row['ofItInRunsMs'] = round(runs[runs.length >> 1]!);
      row['tokenMsWorst'] = round(times.at(-1)!);
      release(past, {});
    } catch (error) {
      row['failure'] = String(error).slice(0, 300);
      log(row);
      return;
    }
    log(row, runner.logits());
  }
}

/** Tokens one by one, past the room that a cache was made with: the slowest is the one that finds it full. */
export async function growthRow(
  runner: Runner,
  { tokens, steps, deadline }: { readonly tokens: number; readonly steps: number; readonly deadline: number },
  vocabulary: number,
): Promise<Record<string, unknown>> {
  const ids = (count: number, at: number) =>
    Int32Array.from({ length: count }, (_, i) => ((at + i) * 7919) % vocabulary);
  const row = { session: runner.name, tokens, part: 'tokens one by one past the first room' };
  const times: number[] = [];
  let past = await runner.step(ids(tokens, 0), undefined);
  for (let step = 0; step < steps && performance.now() < deadline; step++) {
    const before = performance.now();
    past = await advance(runner, past, ids(1, tokens + step));
    times.push(performance.now() - before);
  }
  release(past, {});
  // Pieces are captured in the first ones.
  const steady = times.slice(4);
  const slowest = steady.indexOf(Math.max(...steady)) + 4;
  const sorted = steady.toSorted((a, b) => a - b);
  const at = (share: number): number => round(sorted[Math.floor(share * (sorted.length - 1))]!);
  return {
    ...row,
    steps: times.length,
    tokenMs: at(0.5),
    tokenMs99: at(0.99),
    tokenMsWorst: at(1),
    worstStep: slowest,
  };
}

/** Logits of a text's last token and of those that follow it, the same for every runner. */
export async function sampleLogits(
  runner: Runner,
  { tokens, steps }: { readonly tokens: number; readonly steps: number },
  vocabulary: number,
): Promise<Float32Array[]> {
  const ids = (count: number, at: number) =>
    Int32Array.from({ length: count }, (_, i) => ((at + i) * 104_729) % vocabulary);
  let past = await runner.step(ids(tokens, 0), undefined);
  const all = [runner.logits()];
  for (let step = 0; step < steps; step++) {
    past = await advance(runner, past, ids(1, tokens + step));
    all.push(runner.logits());
  }
  release(past, {});
  return all;
}

/** Largest difference by the largest logit, and how often the same token is the likeliest. */
export function agreement(own: readonly Float32Array[], other: readonly Float32Array[]): Record<string, unknown> {
  const best = (row: Float32Array) => row.reduce((most, value, i) => (value > row[most]! ? i : most), 0);
  const differences = own.map((row, i) => {
    const largest = other[i]!.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    return row.reduce((most, value, at) => Math.max(most, Math.abs(value - other[i]![at]!)), 0) / largest;
  });
  const same = own.filter((row, i) => best(row) === best(other[i]!)).length;
  return { rows: own.length, sameArgmax: same, difference: round(Math.max(...differences)) };
}

/** A call of some tokens, time after time, after a cache that no prefill has made. */
export async function zerosRow(
  runner: Runner,
  { past: before, tokens, times: count }: { readonly past: number; readonly tokens: number; readonly times: number },
): Promise<Record<string, unknown>> {
  const [part, name] = tokens === 1 ? ['token', 'tokenMs'] : [`${tokens} tokens`, 'callMs'];
  const row = { session: runner.name, tokens: before, part: `${part} after an empty cache of this length` };
  try {
    let past = runner.zeros!(before);
    const times: number[] = [];
    for (let step = 0; step < count; step++) {
      const start = performance.now();
      past = await advance(runner, past, new Int32Array(tokens).fill(step));
      times.push(performance.now() - start);
    }
    release(past, {});
    times.shift();
    times.sort((a, b) => a - b);
    return { ...row, [name]: round(times[times.length >> 1]!), [`${name}Best`]: round(times[0]!) };
  } catch (error) {
    return { ...row, failure: String(error).slice(0, 300) };
  }
}

async function advance(runner: Runner, past: Tensors, ids: Int32Array): Promise<Tensors> {
  const next = await runner.step(ids, past);
  release(past, next);
  return next;
}

/** Frees what is not handed on. */
function release(past: Tensors | undefined, next: Tensors): void {
  const kept = new Set(Object.values(next));
  for (const tensor of Object.values(past ?? {})) if (!kept.has(tensor)) tensor.dispose();
}
