// The README quotes the stored run, and the stored run holds what the README promises.
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { definition } from '../src/cli/arguments.ts';
import { attentionSpeedup } from '../src/pipeline/derived.ts';
import { README, readResult, STORED, withFigures } from '../src/report/store.ts';

const readme = readFileSync(README, 'utf8');
const result = readResult(STORED);

describe('the README', () => {
  it('quotes the stored run', () => {
    expect(withFigures(readme, result)).toBe(readme);
  });

  it('names every option', () => {
    for (const name of Object.keys(definition)) expect(readme, name).toContain(`--${name}`);
  });
});

describe('the stored run', () => {
  const { chosen, finetune, longContext } = result;
  const longest = longContext.at(-1)!;

  it('is a full one', () => {
    expect(longContext.map(({ tokens }) => tokens)).toEqual([4096, 8192, 16_384, 32_768]);
    expect(result.generation.tokens).toBe(64);
    expect(finetune.history).toHaveLength(finetune.steps);
    expect(result.search.trials).toHaveLength(result.search.evaluations);
  });

  it('chose a sub-network that is faster than the full model and no worse than the pretrained one', () => {
    expect(chosen.latencyMs).toBeLessThan(chosen.baseline.latencyMs);
    expect(chosen.macs).toBeLessThan(chosen.baseline.macs);
    expect(chosen.loss).toBeLessThanOrEqual(chosen.baseline.lossPretrained);
    expect(chosen.reportLoss).toBeLessThanOrEqual(chosen.baseline.reportLossPretrained);
  });

  it('learned', () => {
    expect(finetune.lossAfter).toBeLessThan(0.8 * finetune.lossBefore);
    expect(chosen.baseline.reportLossFineTuned).toBeLessThan(0.8 * chosen.baseline.reportLossPretrained);
  });

  it('ran HiP at 32K at least five times faster than dense attention, with perplexity at most two percent above', () => {
    expect(attentionSpeedup(longest)).toBeGreaterThanOrEqual(5);
    for (const { densePpl, hipPpl } of longContext) expect(hipPpl).toBeLessThanOrEqual(1.02 * densePpl);
  });
});
