// Predictors of the measured objectives, fitted on everything measured so far.
import type { Space } from '../space.ts';
import { isComplete } from '../study/trial.ts';
import type { ProposeContext } from './tactic.ts';

export type PredictorChoice = 'auto' | 'ridge';

/** Predicts what has to be measured and computes the rest. */
export interface Surrogate {
  /** All objectives and attributes of each candidate, by name. */
  values(batch: readonly (readonly number[])[]): Record<string, number>[];
  readonly info: Readonly<Record<string, unknown>>;
}

function oneHot(space: Space, genes: readonly number[]): number[] {
  const active = space.active(genes);
  return space.genes.flatMap(({ lower, upper, kind }, i) => {
    if (kind === 'real') return [active[i] ? (genes[i]! - lower) / (upper - lower) : 0];
    return Array.from({ length: upper - lower + 1 }, (_, k) => (active[i] && genes[i] === lower + k ? 1 : 0));
  });
}

/** Stop-gap until @instatune/predictors has landed. */
function ridge(X: number[][], y: number[]) {
  const n = X.length;
  const d = X[0]!.length;
  const mean = y.reduce((a, b) => a + b, 0) / n;
  const mx = X[0]!.map((_, j) => X.reduce((a, r) => a + r[j]!, 0) / n);
  const Z = X.map((r) => r.map((v, j) => v - mx[j]!));
  const K = Z.map((a) => Z.map((b) => a.reduce((s, v, j) => s + v * b[j]!, 0)));
  let best: { loo: number; alpha: number[] } | undefined;
  for (const lambda of [0.01, 0.03, 0.1, 0.3, 1, 3, 10]) {
    const A = K.map((r, i) => r.map((v, j) => v + (i === j ? lambda : 0)));
    const inv = invert(A);
    const alpha = inv.map((r) => r.reduce((s, v, j) => s + v * (y[j]! - mean), 0));
    const loo = alpha.reduce((s, a, i) => s + (a / inv[i]![i]!) ** 2, 0);
    if (!best || loo < best.loo) best = { loo, alpha };
  }
  const w = Array.from({ length: d }, (_, j) => best!.alpha.reduce((s, a, i) => s + a * Z[i]![j]!, 0));
  return (x: number[]) => mean + x.reduce((s, v, j) => s + (v - mx[j]!) * w[j]!, 0);
}

function invert(A: number[][]): number[][] {
  const n = A.length;
  const M = A.map((r, i) => [...r, ...Array.from({ length: n }, (_, j) => (i === j ? 1 : 0))]);
  for (let i = 0; i < n; i++) {
    const p = M[i]![i]!;
    for (let j = 0; j < 2 * n; j++) M[i]![j]! /= p;
    for (let k = 0; k < n; k++) {
      if (k === i) continue;
      const f = M[k]![i]!;
      if (f !== 0) for (let j = 0; j < 2 * n; j++) M[k]![j]! -= f * M[i]![j]!;
    }
  }
  return M.map((r) => r.slice(n));
}

export async function fitSurrogate(
  { space, trials }: ProposeContext,
  _choice: PredictorChoice,
): Promise<Surrogate | undefined> {
  const complete = trials.filter(isComplete);
  if (complete.length < 4) return undefined;
  const X = complete.map(({ genes }) => oneHot(space, genes));
  const models = space.measured.map(({ name }) => ({
    name,
    predict: ridge(
      X,
      complete.map(({ values }) => values[name]!),
    ),
  }));
  return {
    values: (batch) =>
      batch.map((genes) => {
        const values = space.exact(genes);
        const x = oneHot(space, genes);
        for (const { name, predict } of models) values[name] = predict(x);
        return values;
      }),
    info: { predictor: 'ridge' },
  };
}
