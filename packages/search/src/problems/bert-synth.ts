// BERT-synth as a search problem: the synthetic accuracy counts as measured, MACs are exact, the exact front is known.
import { bertSynth as testProblem } from '@instatune/nsga2';
import type { SearchProblem } from '../problem.ts';
import { pause } from '../pause.ts';

const LAYERS = 12;
const HEADS = [6, 8, 10, 12];
const WIDTHS = [1024, 2048, 3072];

/**
 * The elastic space of BERT-base with a known optimum (`bertSynth` of @instatune/nsga2). Objectives: `accuracy` (percent, maximised, measured) and
 * `macs` (10⁹, exact).
 *
 * @param options `delay`: milliseconds that a measurement pretends to take
 */
export function bertSynth(options: Readonly<Record<string, unknown>> = {}): SearchProblem {
  const synth = testProblem();
  const delay = typeof options['delay'] === 'number' ? options['delay'] : 0;
  return {
    name: 'bert-synth',
    space: synth.variables,
    active: ([depth]) => [true, ...Array.from({ length: 2 * LAYERS }, (_, i) => i % LAYERS < 6 + depth!)],
    objectives: [
      { name: 'macs', kind: 'exact', unit: 'G', evaluate: (genes) => synth.evaluate(genes)[0] },
      {
        name: 'accuracy',
        kind: 'measured',
        direction: 'maximize',
        unit: '%',
        async evaluate(genes, { signal }) {
          if (delay > 0) await pause(delay, signal);
          return -synth.evaluate(genes)[1];
        },
      },
    ],
    baseline: [6, ...Array.from({ length: LAYERS }, () => 3), ...Array.from({ length: LAYERS }, () => 2)],
    reference: { macs: synth.reference[0], accuracy: -synth.reference[1] },
    describe(genes) {
      const layers = 6 + genes[0]!;
      return {
        layers,
        heads: Array.from({ length: layers }, (_, l) => HEADS[genes[1 + l]!]!),
        ffn: Array.from({ length: layers }, (_, l) => WIDTHS[genes[1 + LAYERS + l]!]!),
      };
    },
  };
}
