// Ranks as variables of a search: what they are called, what they cost kept apart, what is measured of them.
import { beforeAll, describe, expect, it } from 'vitest';
import { countAdapters } from '../../src/adapters/count.ts';
import { renderAdapters } from '../../src/adapters/peft/save.ts';
import { textWindows } from '../../src/data/text-windows.ts';
import { countMacs } from '../../src/elastic/cost.ts';
import { subnetProblem } from '../../src/search/problem.ts';
import { evaluate } from '../../src/train/evaluation/evaluate.ts';
import { adapted } from '../helpers/adapted.ts';
import { useBackend } from '../helpers/backend.ts';
import { patternedTokens, tinyLlama, withSpace } from '../helpers/tiny.ts';

const task = textWindows(patternedTokens(120), { length: 8 });
const context = { seed: 1, split: 'search', signal: new AbortController().signal };

describe('ranks in a search', () => {
  beforeAll(() => useBackend('wasm'));

  it('are a variable of each layer; the bytes are those of the file', async () => {
    const start = tinyLlama();
    const base = await withSpace(start, { layers: [1, 2], heads: [4], ffn: [24], skip: { ffn: [1] } });
    const model = adapted(base, { targets: ['up', 'down'] });
    const problem = subnetProblem(model, { task, objectives: ['loss', 'adapter-bytes'], tokens: 8 });
    expect(problem.space.map(({ name }) => name).slice(-3)).toEqual(['ffn-kept.1', 'rank.0', 'rank.1']);
    expect(problem.space.at(-1)!.values).toEqual([0, 1, 3, 4]);
    const exact = (name: string, genes: readonly number[]) =>
      [...problem.objectives, ...problem.attributes].flatMap((part) =>
        part.name === name && 'evaluate' in part ? part.evaluate(genes) : [],
      )[0];
    const ranks = problem.space.length - 2;
    for (const genes of [problem.baseline, problem.baseline.with(ranks, 0), problem.baseline.with(ranks + 1, 2)]) {
      const subnet = problem.subnet(genes);
      const { files } = await renderAdapters(model, subnet);
      const chunks = [...files.find(({ name }) => name.endsWith('.safetensors'))!.chunks];
      expect(exact('adapter-bytes', genes)).toBe(chunks.reduce((sum, { byteLength }) => sum + byteLength, 0));
      expect(exact('adapter-macs', genes)).toBe(countAdapters(model, subnet, { tokens: 8 }).macs);
      // Merged they cost nothing.
      expect(exact('macs', genes)).toBe(countMacs(base.config, undefined, { tokens: 8 }));
      const { loss } = await problem.measure(genes, context);
      expect(loss).toBeCloseTo((await evaluate(model, task, { subnet })).loss, 5);
    }
    // Without its FFN the second layer has no adapter.
    const left = problem.baseline.with(ranks - 1, 0);
    expect(problem.active(problem.baseline).slice(-2)).toEqual([true, true]);
    expect(problem.active(left).slice(-2)).toEqual([true, false]);
    expect(problem.describe(problem.baseline.with(ranks, 1))).toMatchObject({ ranks: [1, 4] });
    for (const each of [model, base, start]) each.dispose();
  });

  it('cost nothing where there are none', () => {
    const base = tinyLlama();
    expect(() => subnetProblem(base, { task, objectives: ['loss', 'adapter-bytes'] })).toThrow(
      /objectives has adapter-bytes: the model has no adapters/,
    );
    base.dispose();
  });
});
