// Low-rank adapters on every family: zero at the start, nested, sliced = masked = merged = read back, counted as they are.
import * as fc from 'fast-check';
import * as tf from '@tensorflow/tfjs';
import { memoryFiles } from '@hip/checkpoints';
import '@hip/testing';
import { beforeAll, describe, expect, it } from 'vitest';
import { adaptedModel, addAdapters } from '../../src/adapters/add.ts';
import { countAdapters } from '../../src/adapters/count.ts';
import { adapterNames } from '../../src/adapters/slots.ts';
import { loadCheckpoint } from '../../src/checkpoint/load.ts';
import { fullSubnet, sampleSubnet, subnetKey } from '../../src/elastic/subnets.ts';
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
