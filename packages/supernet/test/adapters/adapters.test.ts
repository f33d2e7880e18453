// Low-rank adapters on every family: zero at the start, nested, sliced = masked = merged = read back, counted as they are.
import * as fc from 'fast-check';
import * as tf from '@tensorflow/tfjs';
import { memoryFiles } from '@hip/checkpoints';
import '@hip/testing';
import { beforeAll, describe, expect, it } from 'vitest';
import { adaptedModel, addAdapters, type AdapterOptions } from '../../src/adapters/add.ts';
import { countAdapters } from '../../src/adapters/count.ts';
import { adapterNames } from '../../src/adapters/slots.ts';
import type { AdapterTarget } from '../../src/adapters/types.ts';
import { loadCheckpoint } from '../../src/checkpoint/load.ts';
import { geneCardinalities, genesToSubnet, subnetToGenes, usedGenes } from '../../src/elastic/genes.ts';
import { createSpace, spaceSize } from '../../src/elastic/space.ts';
import { canonicalSubnet, fullSubnet, sampleSubnet, smallestSubnet, subnetKey } from '../../src/elastic/subnets.ts';
import type { SubnetConfig } from '../../src/elastic/types.ts';
import { renderCheckpoint } from '../../src/export/extract.ts';
import { extractModel } from '../../src/export/values.ts';
import type { ElasticModel, ModelInputs } from '../../src/model/types.ts';
import { SeededRandom } from '../../src/random.ts';
import { adapted, everyTarget } from '../helpers/adapted.ts';
import { useBackend } from '../helpers/backend.ts';
import { ELASTIC_MODELS } from '../helpers/elastic-models.ts';
import { tinyBert, tinyInputs, tinyLlama, withSpace } from '../helpers/tiny.ts';

const answer = async (model: ElasticModel, inputs: ModelInputs, subnet?: SubnetConfig, mode?: 'masked') => {
  const { logits } = model.forward(inputs, { ...(subnet && { subnet }), ...(mode && { mode }) });
  const values = (await logits.data()) as Float32Array;
  logits.dispose();
  return values;
};

describe.each(Object.entries(ELASTIC_MODELS))('adapters of %s', (_, [create, choices]) => {
  beforeAll(() => useBackend('wasm'));

  it('begin as the network that they are on, to the bit', async () => {
    const base = create();
    const inputs = tinyInputs(base);
    const model = addAdapters(base, { targets: everyTarget(base), rank: 4, alpha: 32 });
    expect(await answer(model, inputs)).toEqual(await answer(base, inputs));
    model.dispose();
    // The base is the caller's.
    expect((await answer(base, inputs)).length).toBeGreaterThan(0);
    base.dispose();
  });

  it('run sliced, masked, merged and read back alike, of every rank and width', async () => {
    const start = create();
    const base = await withSpace(start, choices);
    const model = adapted(base);
    const inputs = tinyInputs(base);
    const random = new SeededRandom(12);
    const isHidden = model.config.head === 'none';
    expect(await answer(model, inputs)).not.toBeAllclose(await answer(base, inputs), { atol: 1e-3, rtol: 0 });
    for (let round = 0; round < 5; round++) {
      const full = { ...fullSubnet(model.space), ranks: [3, 0] };
      const subnet = round === 0 ? full : sampleSubnet(model.space, () => random.next());
      const key = subnetKey(subnet);
      const sliced = await answer(model, inputs, subnet);
      const masked = await answer(model, inputs, subnet, 'masked');
      const width = subnet.hidden ?? 16;
      const live = isHidden ? masked.filter((__, i) => i % 16 < width) : masked;
      expect(live, key).toBeAllclose(sliced, { atol: 1e-5, rtol: 0 });
      const merged = await extractModel(model, subnet);
      expect(merged.adapters).toBeUndefined();
      expect(await answer(merged, inputs), `${key} merged`).toBeAllclose(sliced, { atol: 1e-5, rtol: 0 });
      const { files } = await renderCheckpoint(model, subnet);
      const bytes = files.map(({ name, chunks }) => [name, new Uint8Array(Buffer.concat([...chunks]))] as const);
      const again = await loadCheckpoint(memoryFiles(new Map(bytes)));
      expect(await answer(again.model, inputs), `${key} read back`).toBeAllclose(sliced, { atol: 1e-5, rtol: 0 });
      for (const each of [merged, again.model]) each.dispose();
    }
    for (const each of [model, base, start]) each.dispose();
  });

  it('cost what their products multiply', async () => {
    await useBackend('cpu');
    const start = create();
    const base = await withSpace(start, choices);
    const model = adapted(base);
    const inputs = firstOf(tinyInputs(base));
    const random = new SeededRandom(13);
    const { config } = model;
    const text = inputs.inputIds?.shape[1] ?? 0;
    const tokens = config.patches && !config.multiway ? {} : { tokens: text };
    for (let round = 0; round < 3; round++) {
      const subnet = sampleSubnet(model.space, () => random.next());
      const { ranks: _ranks, ...plain } = subnet;
      const added = (await products(model, inputs, subnet)) - (await products(base, inputs, plain));
      expect(countAdapters(model, subnet, tokens).macs, subnetKey(subnet)).toBe(added);
    }
    for (const each of [model, base, start]) each.dispose();
    await useBackend('wasm');
  });
});

/** The first example of a batch. */
function firstOf(inputs: ModelInputs): ModelInputs {
  const first = (tensor: tf.Tensor) =>
    tf.slice(
      tensor,
      tensor.shape.map(() => 0),
      [1, ...tensor.shape.slice(1)],
    );
  return Object.fromEntries(Object.entries(inputs).map(([name, tensor]) => [name, first(tensor as tf.Tensor)]));
}

/** Multiply-accumulates of the matrix products of a pass, as the backend is asked for them. */
async function products(network: ElasticModel, inputs: ModelInputs, subnet: SubnetConfig): Promise<number> {
  const { kernels } = await tf.profile(() => tf.tidy(() => void network.forward(inputs, { subnet })));
  const count = (shape: readonly number[]) => shape.reduce((product, extent) => product * extent, 1);
  let sum = 0;
  for (const { name, inputShapes, outputShapes } of kernels) {
    if (!name.includes('MatMul')) continue;
    const [[a, b], [out]] = [inputShapes, outputShapes] as [number[][], number[][]];
    const together = out!.length > 2 ? out![0]! : 1;
    // (M·K)(K·N)(M·N) = (M·K·N)².
    sum += Math.round(Math.sqrt((count(a!) * count(b!) * count(out!)) / together));
  }
  return sum;
}

describe('a rank', () => {
  beforeAll(() => useBackend('wasm'));

  it('is the first columns of every larger one', async () => {
    const base = tinyLlama(2);
    const model = adapted(base, { rank: 6, ranks: [0, 1, 2, 3, 4, 5, 6] });
    const inputs = tinyInputs(base);
    const ranks = fc.array(fc.integer({ min: 0, max: 6 }), { minLength: 2, maxLength: 2 });
    await fc.assert(
      fc.asyncProperty(ranks, async (chosen) => {
        const values = new Map<string, Float32Array>();
        const products = model.adapters!.products.flatMap((product) => {
          const rank = chosen[product.layer]!;
          if (rank === 0) return [];
          const { a, b } = adapterNames(product.name);
          const [whole, rows] = [a, b].map((name) => model.adapters!.weights.get(name)!.dataSync() as Float32Array);
          values.set(
            a,
            whole!.filter((__, i) => i % product.rank < rank),
          );
          values.set(b, rows!.slice(0, (rank * rows!.length) / product.rank));
          return [{ ...product, rank }];
        });
        const small = adaptedModel(base, { products, replaced: [], values, ranks: undefined });
        const subnet = { ...fullSubnet(model.space), ranks: chosen };
        expect(await answer(small, inputs)).toBeAllclose(await answer(model, inputs, subnet), { atol: 1e-6, rtol: 0 });
        expect(countAdapters(model, subnet).parameters).toBe(
          [...values.values()].reduce((sum, { length }) => sum + length, 0),
        );
        expect(countAdapters(small)).toEqual(countAdapters(model, subnet));
        small.dispose();
      }),
      { numRuns: 12 },
    );
    for (const each of [model, base]) each.dispose();
  });

  it('0 is the network without adapters, to the bit', async () => {
    const base = tinyLlama(2);
    const model = adapted(base);
    const inputs = tinyInputs(base);
    const none = { ...fullSubnet(model.space), ranks: [0, 0] };
    expect(await answer(model, inputs, none)).toEqual(await answer(base, inputs));
    expect(countAdapters(model, none)).toEqual({ parameters: 0, replaced: 0, macs: 0 });
    for (const each of [model, base]) each.dispose();
  });

  it('may differ between products: each has as much as it has', async () => {
    const base = tinyLlama(2);
    const values = new Map<string, Float32Array>();
    const sizes = { 'layers.0.attention.query': 2, 'layers.1.ffn.down': 5 };
    const products = Object.entries(sizes).map(([name, rank], layer) => ({ name, layer, rank, scale: 1 }));
    const inner = [16, 24];
    for (const [i, { name, rank }] of products.entries()) {
      values.set(`${name}.loraA`, new Float32Array(inner[i]! * rank).fill(0.1));
      values.set(`${name}.loraB`, new Float32Array(16 * rank).fill(0.1));
    }
    const model = adaptedModel(base, { products, replaced: [], values, ranks: [0, 2, 5] });
    expect(model.space.fullRank).toBe(5);
    expect(countAdapters(model).parameters).toBe(2 * 32 + 5 * 40);
    expect(countAdapters(model, { ...fullSubnet(model.space), ranks: [5, 3] }).parameters).toBe(2 * 32 + 3 * 40);
    for (const each of [model, base]) each.dispose();
  });
});

describe('a head', () => {
  beforeAll(() => useBackend('wasm'));

  it('of a classifier is a copy of its own; of a language model the base keeps it', async () => {
    const base = tinyBert();
    const inputs = tinyInputs(base);
    const before = await answer(base, inputs);
    const model = adapted(base);
    expect(model.adapters!.replaced).toEqual(['pooler.weight', 'pooler.bias', 'head.weight', 'head.bias']);
    expect(countAdapters(model).replaced).toBe(16 * 16 + 16 + 16 * 3 + 3);
    expect(await answer(base, inputs)).toEqual(before);
    expect(addAdapters(base, { head: false }).adapters!.replaced).toEqual([]);
    const lm = tinyLlama(1, { tie_word_embeddings: false });
    expect(addAdapters(lm).adapters!.replaced).toEqual([]);
    expect(addAdapters(lm, { head: true }).adapters!.replaced).toEqual(['head.weight']);
  });
});

describe('genes of ranks', () => {
  const space = createSpace(
    { layers: 3, heads: 4, ffn: 24, hidden: 16, adapters: { rank: 8, blocks: ['ffn'] } },
    { layers: [2, 3], heads: [2, 4], ffn: [8, 24], ranks: [8, 0, 2], skip: { ffn: [1], attention: [0] } },
  );
  const genes = fc.tuple(...geneCardinalities(space).map((count) => fc.integer({ min: 0, max: count - 1 })));

  it('say a rank of each layer, and come back', () => {
    expect(space.ranks).toEqual([0, 2, 8]);
    expect(geneCardinalities(space)).toEqual([2, 2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3]);
    fc.assert(
      fc.property(genes, genes, (values, others) => {
        const subnet = genesToSubnet(space, values);
        expect(canonicalSubnet(space, subnet)).toEqual(subnet);
        const used = usedGenes(space, values);
        expect(used).toHaveLength(values.length);
        expect(subnetToGenes(space, subnet)).toEqual(values.map((value, i) => (used[i] ? value : 0)));
        const other = values.map((value, i) => (used[i] ? value : others[i]!));
        expect(genesToSubnet(space, other)).toEqual(subnet);
        const changed = used.findIndex((isUsed, i) => isUsed && others[i] !== values[i]);
        if (changed < 0) return;
        const different = genesToSubnet(space, values.with(changed, others[changed]!));
        expect(subnetKey(different)).not.toBe(subnetKey(subnet));
      }),
    );
    expect(smallestSubnet(space).ranks).toEqual([0, 0, 0]);
    expect(fullSubnet(space).ranks).toBeUndefined();
    expect(genesToSubnet(space, subnetToGenes(space, fullSubnet(space)))).toEqual(fullSubnet(space));
  });

  it('count each sub-network once', () => {
    for (const blocks of [['ffn'], ['attention'], ['attention', 'ffn']] as const) {
      const small = createSpace(
        { layers: 2, heads: 2, ffn: 8, hidden: 8, adapters: { rank: 4, blocks } },
        { layers: [1, 2], heads: [2], ffn: [4, 8], ranks: [0, 4], skip: { attention: [1], ffn: [0, 1] } },
      );
      const keys = new Set<string>();
      const visit = (head: readonly number[], rest: readonly number[]): void => {
        const [count, ...others] = rest;
        if (count === undefined) keys.add(subnetKey(genesToSubnet(small, head)));
        else for (let gene = 0; gene < count; gene++) visit([...head, gene], others);
      };
      visit([], geneCardinalities(small));
      expect(spaceSize(small)).toBe(keys.size);
    }
  });

  it.each<[object, Partial<SubnetConfig>]>([
    [{ name: 'ranks[1]', value: 9, max: 8 }, { ranks: [8, 9, 8] }],
    [{ name: 'ranks[0]', value: -1 }, { ranks: [-1, 0, 0] }],
    [{ name: 'ranks[0]', value: 1.5 }, { ranks: [1.5, 0, 0] }],
    [{ name: 'ranks' }, { ranks: [8, 8] }],
  ])('refuse what there is not: %o', (details, change) => {
    const subnet = { layers: 3, heads: [4, 4, 4], ffn: [8, 8, 8], ...change };
    const wrong = expect.objectContaining({ code: 'invalid-subnet', details: expect.objectContaining(details) });
    expect(() => canonicalSubnet(space, subnet)).toThrow(wrong);
  });

  it('are refused where there are no adapters, and ranks that are no choice', () => {
    const plain = createSpace({ layers: 1, heads: 4, ffn: 24 });
    const subnet = { layers: 1, heads: [4], ffn: [24], ranks: [0] };
    expect(() => canonicalSubnet(plain, subnet)).toThrow(/ranks = 0: the model has no adapters/);
    expect(() => createSpace({ layers: 1, heads: 4, ffn: 24 }, { ranks: [4] })).toThrow(/ranks choice = 4/);
    expect(() => subnetToGenes(space, { ...fullSubnet(space), ranks: [8, 3, 8] })).toThrow(/ranks\[1\] = 3/);
  });
});

describe('options of addAdapters', () => {
  it.each<[AdapterOptions, RegExp]>([
    [{ targets: ['gate'] }, /targets = gate: a bert model has query, key, value, output, up, down/],
    [{ targets: [] }, /targets = \(none\)/],
    [{ targets: ['q_proj' as AdapterTarget] }, /targets = q_proj/],
    [{ rank: 0 }, /rank = 0: expected a positive integer/],
    [{ rank: 2.5 }, /rank = 2.5/],
    [{ rank: 4, ranks: [0, 8] }, /ranks = 0, 8: use some of 0…4/],
    [{ ranks: [] }, /ranks = \(none\)/],
    [{ ranks: [-1, 4] }, /ranks = -1: expected an integer ≥ 0/],
    [{ alpha: 0 }, /alpha = 0: expected a positive number/],
    [{ alpha: Infinity }, /alpha = Infinity/],
    [{ seed: 0.5 }, /seed = 0.5/],
  ])('%o', async (options, message) => {
    await useBackend('cpu');
    const base = tinyBert();
    const held = tf.memory().numTensors;
    expect(() => addAdapters(base, options)).toThrow(message);
    expect(tf.memory().numTensors).toBe(held);
    base.dispose();
  });

  it('one model has one set of adapters', () => {
    const model = addAdapters(tinyBert());
    expect(() => addAdapters(model)).toThrow(/has adapters already/);
  });

  it('free all that they made', async () => {
    await useBackend('cpu');
    const base = tinyBert();
    const held = tf.memory().numTensors;
    addAdapters(base).dispose();
    expect(tf.memory().numTensors).toBe(held);
    base.dispose();
  });
});
