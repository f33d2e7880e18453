// Losses of true text against an independent float32 implementation's, and how far HiP's predictions are from dense attention's.
import type { Engine } from '@hip/llm';
import type { Window } from '../quality-smollm2/windows.ts';

const mean = (values: ArrayLike<number>): number =>
  Array.from(values).reduce((sum, value) => sum + value, 0) / values.length;
const round = (value: number, digits = 5): number => Number(value.toPrecision(digits));

/** Perplexity over a window's first tokens beside the golden's. */
export async function perplexityRow(
  name: string,
  engine: Engine,
  { name: window, ids, losses }: Window,
  tokens: number,
) {
  const sequence = engine.createSequence();
  const found = await sequence.losses(ids.subarray(0, tokens));
  const { cache } = engine.memory;
  sequence.dispose();
  const golden = mean(losses.subarray(0, tokens - 1));
  const half = tokens / 2;
  return {
    part: 'perplexity',
    engine: name,
    window,
    tokens,
    perplexity: round(Math.exp(mean(found))),
    golden: round(Math.exp(golden)),
    ratio: round(Math.exp(mean(found) - golden)),
    ratioSecondHalf: round(Math.exp(mean(found.subarray(half)) - mean(losses.subarray(half, tokens - 1)))),
    cacheBytesPerToken: round(cache / tokens, 6),
  };
}

/** Mean KL from dense attention, and how often both choose the same token, over the last `rows` of a window's first tokens. */
export async function distanceRow(
  name: string,
  { dense, engine }: { readonly dense: Engine; readonly engine: Engine },
  { name: window, ids }: Window,
  tokens: number,
  rows: number,
) {
  const sequences = [dense.createSequence(), engine.createSequence()];
  for (const sequence of sequences) await sequence.forward(ids.subarray(0, tokens - rows), { logits: 'none' });
  let [kl, equal] = [0, 0];
  const step = 64;
  for (let at = tokens - rows; at < tokens; at += step) {
    const part = ids.subarray(at, at + step);
    const [p, q] = await Promise.all(sequences.map((sequence) => sequence.forward(part, { logits: 'all' })));
    for (let row = 0; row < part.length; row++) {
      const of = (values: Float32Array) => values.subarray(row * dense.vocabulary, (row + 1) * dense.vocabulary);
      const found = divergence(of(p!), of(q!));
      kl += found.kl;
      equal += found.equal ? 1 : 0;
    }
  }
  for (const sequence of sequences) sequence.dispose();
  return {
    part: 'distance',
    engine: name,
    window,
    tokens,
    rows,
    kl: round(kl / rows, 4),
    equalArgmax: round(equal / rows, 4),
  };
}

function divergence(p: Float32Array, q: Float32Array): { readonly kl: number; readonly equal: boolean } {
  const [logP, logQ] = [logSum(p), logSum(q)];
  let [kl, bestP, bestQ] = [0, 0, 0];
  for (let i = 0; i < p.length; i++) {
    const a = p[i]! - logP;
    kl += Math.exp(a) * (a - (q[i]! - logQ));
    if (p[i]! > p[bestP]!) bestP = i;
    if (q[i]! > q[bestQ]!) bestQ = i;
  }
  return { kl, equal: bestP === bestQ };
}

function logSum(values: Float32Array): number {
  const most = values.reduce((a, b) => Math.max(a, b), -Infinity);
  return most + Math.log(values.reduce((sum, value) => sum + Math.exp(value - most), 0));
}
