// How a layer attends is said by numbers that are checked, and by the length at which it begins to search.
import { expect, it } from 'vitest';
import { PAPER_CONFIG, resolveConfig } from '@hip/mask-search';
import { resolveLayer, searches, type LayerOptions } from '../../src/decode/layer.ts';

const sizes = { kvHeads: 2, offload: false, pools: 1 };
const layer = (options: Partial<LayerOptions>, more = {}) =>
  resolveLayer({ heads: 4, ...options }, { ...sizes, ...more });
const codeOf = (action: () => unknown): string => {
  try {
    action();
    return 'none';
  } catch (error) {
    return (error as { code: string }).code;
  }
};

it('searches above its own length, rows, a question and one row apart; a window or dense attention never', () => {
  const denseBelow = { rows: 100, question: 150, step: 200 };
  const found = [100, 101, 150, 151, 200, 201].map((keys) =>
    [65, 64, 2, 1].filter((rows) => searches(layer({ denseBelow }), keys, rows)),
  );
  expect(found).toEqual([[], [65], [65], [65, 64, 2], [65, 64, 2], [65, 64, 2, 1]]);
  expect(searches(layer({}), 1, 1)).toBe(true);
  expect(searches(layer({ config: 'dense' }), 1e6, 1)).toBe(false);
  expect(searches(layer({ window: 16 }), 1e6, 5)).toBe(false);
});

it('refuses in words', () => {
  const remainder = { block: 128, most: 64, tail: 'drop' } as const;
  const refusals = [
    () => layer({ heads: 3 }),
    () => layer({ window: 0 }),
    () => layer({ denseBelow: -1 }),
    () => layer({ denseBelow: { rows: 0, question: 0, step: Number.NaN } }),
    () => layer({ softcap: -1 }),
    () => layer({ config: { causal: false } }),
    () => layer({ config: { ...PAPER_CONFIG, shareHeads: true } }, { pools: 2 }),
    () => layer({ config: { remainder } }, { offload: true }),
  ];
  expect(refusals.map(codeOf)).toEqual([
    'invalid-shape',
    'invalid-config',
    'invalid-config',
    'invalid-config',
    'invalid-config',
    'unsupported',
    'unsupported',
    'unsupported',
  ]);
  expect(layer({ config: resolveConfig({ window: 128, remainder }) }, { offload: true }).interval).toBe(8);
});
