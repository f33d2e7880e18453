// The benchmarks, by name. Loaded on demand: a peer that does not install must not break the others.
import type { Benchmark } from './benchmark.ts';

/** One line a benchmark: name → [what it measures, how to load it]. */
export const registry: Readonly<Record<string, readonly [description: string, load: () => Promise<{ benchmark: Benchmark }>]>> = {
  size: ['gzip bytes of each package entry', () => import('./size.ts')],
  nsga2: ['NSGA-II and III on ZDT, DTLZ and BERT-synth; sorting; exact hypervolume', () => import('./nsga2.ts')],
};
