// A super-network as a search problem: what is computed and measured, by name; bit widths as genes, with the bytes of the file that is written.
import * as ort from 'onnxruntime-node';
import { beforeAll, describe, expect, it } from 'vitest';
import { countMacs, countParameters } from '../../src/elastic/cost.ts';
import { countMemory } from '../../src/elastic/memory.ts';
import { exportOnnx, quantizedModel } from '../../src/export/onnx.ts';
import type { Dataset } from '../../src/data/dataset.ts';
import type { TransformerModel } from '../../src/model/transformer.ts';
import { subnetProblem, type SubnetProblem } from '../../src/search/problem.ts';
import { evaluate } from '../../src/train/evaluation/evaluate.ts';
import { SeededRandom } from '../../src/random.ts';
import { useBackend } from '../helpers/backend.ts';
import { patternedTokens, tinyBert, withSpace } from '../helpers/tiny.ts';

const TOKENS = 8;
const EXAMPLES = 6;

/** Sentences of 8 tokens with one of three labels. */
function dataset(shift: number): Dataset {
  return {
    length: EXAMPLES,
    batch: (indices) => ({
      size: indices.length,
      labels: Int32Array.from(indices, (i) => (i + shift) % 3),
      inputIds: {
        data: Int32Array.from(indices.flatMap((i) => Array.from(patternedTokens(TOKENS), (id) => 1 + ((id + i) % 30)))),
        shape: [indices.length, TOKENS],
      },
      attentionMask: { data: new Int32Array(indices.length * TOKENS).fill(1), shape: [indices.length, TOKENS] },
    }),
  };
}

const context = { seed: 1, split: 'search', signal: new AbortController().signal };

/** Every gene drawn from its values. */
const drawn = ({ space }: SubnetProblem, random: SeededRandom): number[] =>
  space.map(({ values }) => Math.floor(random.next() * values.length));

describe('subnetProblem', () => {
  let model: TransformerModel;
  beforeAll(async () => {
    await useBackend('wasm');
    model = await withSpace(tinyBert(), { layers: [1, 2], heads: [2, 4], ffn: [16, 24], skip: { ffn: [1] } });
  });

  it('names its variables and values, and computes and measures what was asked for', async () => {
    const task = dataset(0);
    const problem = subnetProblem(model, { task, objectives: ['accuracy', 'macs'], tokens: TOKENS });
    expect(problem.space.map(({ name }) => name)).toEqual([
      'layers',
      'heads.0',
      'heads.1',
      'ffn.0',
      'ffn.1',
      'ffn-kept.1',
    ]);
    expect(problem.objectives).toMatchObject([
      { name: 'accuracy', kind: 'measured', direction: 'maximize' },
      { name: 'macs', kind: 'exact', direction: 'minimize' },
    ]);
    const random = new SeededRandom(3);
    for (let i = 0; i < 5; i++) {
      const genes = drawn(problem, random);
      const subnet = problem.subnet(genes);
      const computed = Object.fromEntries(
        [...problem.objectives, ...problem.attributes].flatMap((part) =>
          'evaluate' in part ? [[part.name, part.evaluate(genes)]] : [],
        ),
      );
      expect(computed).toEqual({
        macs: countMacs(model.config, subnet, { tokens: TOKENS }),
        parameters: countParameters(model.config, subnet),
        memory: countMemory(model.config, subnet, { tokens: TOKENS }).total,
      });
      const { loss, accuracy } = await evaluate(model, task, { subnet });
      const measured = await problem.measure(genes, context);
      expect(measured['accuracy']).toBe(accuracy);
      expect(measured['loss']).toBeCloseTo(loss, 5);
      expect(problem.active(genes)[2]).toBe(subnet.layers === 2);
    }
    expect(problem.subnet(problem.baseline)).toMatchObject({ layers: 2, heads: [4, 4], ffn: [24, 24] });
  });

  it('reports parts of its data on the way, ends where that rejects, and measures the whole in between', async () => {
    const task = dataset(0);
    const whole = subnetProblem(model, { task, tokens: TOKENS });
    const problem = subnetProblem(model, { task, tokens: TOKENS, steps: 3 });
    expect([whole.steps, problem.steps]).toEqual([undefined, 3]);
    const told: [number, Readonly<Record<string, number>>][] = [];
    const report = async (step: number, values: Readonly<Record<string, number>>) => void told.push([step, values]);
    const measured = await problem.measure(problem.baseline, { ...context, report });
    expect(told.map(([step]) => step)).toEqual([1, 2]);
    const first = await evaluate(model, { ...task, length: 2 });
    expect(told[0]![1]['loss']).toBeCloseTo(first.loss, 5);
    expect(measured['loss']).toBeCloseTo((await whole.measure(whole.baseline, context))['loss']!, 5);
    const end = new Error('the end');
    await expect(problem.measure(problem.baseline, { ...context, report: () => Promise.reject(end) })).rejects.toBe(
      end,
    );
    told.length = 0;
    const twice = { search: task, report: task };
    await subnetProblem(model, { task: twice, steps: 3 }).measure(problem.baseline, {
      ...context,
      split: 'report',
      report,
    });
    expect(told).toEqual([]);
    expect(() => subnetProblem(model, { task, steps: 0 })).toThrow(expect.objectContaining({ code: 'invalid-option' }));
  });

  it('has a bit width for each layer: quality of the rounded weights, bytes of the file, and that file runs', async () => {
    const task = dataset(1);
    const onnx = { quantization: { blockSize: 16, accuracyLevel: 0 } } as const;
    const problem = subnetProblem(model, { task, objectives: ['loss', 'bytes'], bits: [8, 4], onnx });
    expect(problem.space.slice(-3)).toEqual(
      ['bits.0', 'bits.1', 'bits.rest'].map((name) => ({ type: 'ordinal', name, values: [4, 8] })),
    );
    const random = new SeededRandom(7);
    const sizes = new Set<number>();
    for (let i = 0; i < 4; i++) {
      const genes = drawn(problem, random);
      const subnet = problem.subnet(genes);
      const options = problem.onnx(genes);
      const measured = await problem.measure(genes, context);
      const file = await exportOnnx(model, subnet, options);
      expect(measured['bytes']).toBe(file.byteLength);
      sizes.add(file.byteLength);
      const rounded = await quantizedModel(model, subnet, options);
      expect(measured['loss']).toBeCloseTo((await evaluate(rounded, task)).loss, 6);
      rounded.dispose();
      const session = await ort.InferenceSession.create(file, { logSeverityLevel: 3 });
      const ids = new ort.Tensor('int64', BigInt64Array.from([1n, 5n, 9n]), [1, 3]);
      const ones = new ort.Tensor('int64', BigInt64Array.from([1n, 1n, 1n]), [1, 3]);
      const zeros = new ort.Tensor('int64', BigInt64Array.from([0n, 0n, 0n]), [1, 3]);
      const feeds = { input_ids: ids, attention_mask: ones, token_type_ids: zeros };
      const { logits } = await session.run(feeds);
      expect([...(logits!.data as Float32Array)].every(Number.isFinite)).toBe(true);
      await session.release();
    }
    expect(sizes.size).toBeGreaterThan(1);
    const most = problem.onnx(problem.baseline).quantization!.bits!;
    expect(['layers.0.ffn.up.weight', 'layers.1.attention.query.weight', 'head.weight'].map(most)).toEqual([8, 8, 8]);
  });

  it('takes a measurement of one’s own, data by split, and a latency', async () => {
    const own = subnetProblem(model, {
      task: (_, subnet, { split }) => ({ loss: subnet!.layers + (split === 'report' ? 0.5 : 0) }),
      objectives: ['loss', 'latency'],
      latency: ({ layers }) => 10 * layers,
    });
    expect(await own.measure(own.baseline, { ...context, split: 'report' })).toEqual({ loss: 2.5, latency: 20 });
    const split = subnetProblem(model, { task: { search: dataset(0), report: dataset(1) }, objectives: ['loss'] });
    const [a, b] = await Promise.all(
      ['search', 'report'].map((name) => split.measure(split.baseline, { ...context, split: name })),
    );
    expect(a!['loss']).not.toBe(b!['loss']);
    await expect(split.measure(split.baseline, { ...context, split: 'test' })).rejects.toThrow(
      /no data for the split test/,
    );
  });

  it.each([
    [{ objectives: ['speed' as 'loss'] }, /use some of loss, accuracy/],
    [{ objectives: [] }, /\(none\)/],
    [{ bits: [3 as 4] }, /use 4, 8 or both/],
    [{ bits: [4 as const], onnx: { dtype: 'fp16' as const } }, /leave dtype out/],
  ])('%j is refused', (options, message) => {
    expect(() => subnetProblem(model, { task: dataset(0), ...options })).toThrow(message);
  });
});
