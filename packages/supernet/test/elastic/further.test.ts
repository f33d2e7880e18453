// Hidden size, key/value heads and single blocks: masked = sliced = extracted = reloaded, costs by hand, orders keep the function.
import * as fc from 'fast-check';
import * as tf from '@tensorflow/tfjs';
import { memoryFiles, weightSlots, type ModelConfig } from '@hip/checkpoints';
import '@hip/testing';
import { beforeAll, describe, expect, it } from 'vitest';
import { loadCheckpoint } from '../../src/checkpoint/load.ts';
import { countMacs, countParameters } from '../../src/elastic/cost.ts';
import { reorderByImportance } from '../../src/elastic/reorder.ts';
import type { ReorderOptions } from '../../src/elastic/reorder-options.ts';
import {
  canonicalSubnet,
  fullSubnet,
  sampleSubnet,
  smallestSubnet,
  subnetKey,
  uniformSubnet,
} from '../../src/elastic/subnets.ts';
import { createSpace, spaceSize } from '../../src/elastic/space.ts';
import { geneCardinalities, genesToSubnet, subnetToGenes, usedGenes } from '../../src/elastic/genes.ts';
import { validateSubnet } from '../../src/elastic/validate.ts';
import type { SubnetConfig } from '../../src/elastic/types.ts';
import { SupernetError } from '../../src/errors.ts';
import { renderCheckpoint } from '../../src/export/extract.ts';
import { extractModel } from '../../src/export/values.ts';
import { ConcatKeyValueCache } from '../../src/model/cache.ts';
import { prefill, tokenLosses } from '../../src/model/prefill.ts';
import type { TransformerModel } from '../../src/model/transformer.ts';
import { SeededRandom } from '../../src/random.ts';
import { useBackend } from '../helpers/backend.ts';
import { tinyInputs, tinyLlama, withSpace } from '../helpers/tiny.ts';
import { ELASTIC_MODELS } from '../helpers/elastic-models.ts';

/** Sub-networks of each model, the smallest among them. */
const ROUNDS = 4;

/** Multiply-accumulates of a model of its own, by its weights and its configuration alone. */
function macsByHand(model: TransformerModel, tokens: number): number {
  const { config } = model;
  const { head, layers, headSize } = config;
  // Of two sequences, or of positions too: the closed forms on the model that is left.
  if (config.multiway || config.relativeAttention) return countMacs(config, undefined, { tokens });
  let macs = 0;
  for (const { name, shape, layer } of model.slots) {
    if (shape.length < 2 || name.startsWith('embeddings.type') || name.startsWith('embeddings.position')) continue;
    const size = shape[0]! * shape[1]!;
    const perToken = layer !== undefined || ['causal-lm', 'masked-lm', 'token-classification'].includes(head);
    if (name === 'embeddings.token.weight') macs += config.tiedEmbeddings ? tokens * size : 0;
    else if (name === 'embeddings.patch.weight') macs += (tokens - config.patches!.prefixTokens) * size;
    else macs += (perToken ? tokens : 1) * size;
  }
  for (let layer = 0; layer < layers; layer++) {
    macs += 2 * tokens * tokens * (config.layerHeads?.[layer] ?? config.heads) * headSize;
  }
  return macs;
}

const tokensOf = ({ patches, multiway, maxPositions }: ModelConfig) => (patches && !multiway ? maxPositions : 6);

describe.each(Object.entries(ELASTIC_MODELS))('%s', (_, [create, choices]) => {
  beforeAll(() => useBackend('wasm'));

  it('runs masked, sliced, alone and read back alike, at the cost of what is left', async () => {
    const base = create();
    const model = await withSpace(base, choices);
    const inputs = tinyInputs(model);
    const run = async (subnet?: SubnetConfig, mode?: 'masked') =>
      (await model.forward(inputs, { ...(subnet && { subnet }), ...(mode && { mode }) }).logits.data()) as Float32Array;
    const full = await run();
    expect(await run(fullSubnet(model.space)), 'largest').toBeAllclose(full, { atol: 0, rtol: 0 });
    const random = new SeededRandom(11);
    for (let round = 0; round < ROUNDS; round++) {
      const subnet = round === 0 ? smallestSubnet(model.space) : sampleSubnet(model.space, () => random.next());
      const key = subnetKey(subnet);
      const sliced = await run(subnet);
      const masked = await run(subnet, 'masked');
      const isHidden = model.config.head === 'none';
      const width = subnet.hidden ?? 16;
      expect(isHidden ? masked.filter((__, i) => i % 16 < width) : masked, key).toBeAllclose(sliced, {
        atol: 1e-5,
        rtol: 0,
      });
      expect(masked.every((value, i) => !isHidden || i % 16 < width || value === 0)).toBe(true);
      const alone = (await extractModel(model, subnet)) as TransformerModel;
      expect(await alone.forward(inputs).logits.data(), `${key} alone`).toBeAllclose(sliced, { atol: 1e-5, rtol: 0 });
      const size = [...alone.weights.values()].reduce((sum, weight) => sum + weight.size, 0);
      expect(countParameters(model.config, subnet), key).toBe(size);
      const tokens = tokensOf(model.config);
      expect(countMacs(model.config, subnet, { tokens }), key).toBe(macsByHand(alone, tokens));
      const { files, report } = await renderCheckpoint(model, subnet);
      expect(report.parameters, key).toBe(size);
      const bytes = files.map(({ name, chunks }) => [name, new Uint8Array(Buffer.concat([...chunks]))] as const);
      const again = await loadCheckpoint(memoryFiles(new Map(bytes)));
      expect(again.model.forward(inputs).logits.dataSync(), `${key} read back`).toBeAllclose(sliced, {
        atol: 1e-5,
        rtol: 0,
      });
      expect(weightSlots(again.config).map(({ name, shape }) => [name, ...shape])).toEqual(
        alone.slots.map(({ name, shape }) => [name, ...shape]),
      );
      for (const each of [alone, again.model]) each.dispose();
    }
    for (const each of [base, model]) each.dispose();
    tf.dispose(Object.values(inputs) as tf.Tensor[]);
  });

  it('keeps its function when heads, units and channels are reordered', async () => {
    const model = create();
    const inputs = tinyInputs(model);
    const before = await model.forward(inputs).logits.data();
    const objective = () => tf.mean(tf.square(model.forward(inputs).logits)) as tf.Scalar;
    const criteria: ReorderOptions[] = [
      { criterion: 'magnitude' },
      { criterion: 'taylor', losses: [objective] },
      { criterion: 'activation', batches: [inputs] },
    ];
    for (const criterion of criteria) {
      const { hidden, heads } = await reorderByImportance(model, { ...criterion, axes: ['heads', 'ffn', 'hidden'] });
      expect(hidden.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 16 }, (__, i) => i));
      for (const order of heads) expect(order.toSorted((a, b) => a - b)).toEqual([0, 1, 2, 3]);
      const after = await model.forward(inputs).logits.data();
      // Hidden states come out in the new order.
      if (model.config.head === 'none') before.set(inOrder(before as Float32Array, hidden));
      expect(after).toBeAllclose(before, { atol: 1e-5, rtol: 0 });
    }
    model.dispose();
  });
});

/** Rows of hidden states with their channels moved. */
function inOrder(rows: Float32Array, order: readonly number[]): Float32Array {
  return rows.map((_, i) => rows[i - (i % order.length) + order[i % order.length]!]!);
}

describe('genes', () => {
  const space = createSpace(
    { layers: 3, heads: 6, ffn: 24, headGroup: 3, hidden: 16 },
    { heads: [3, 6], hidden: [8, 16], groupHeads: [1, 3], skip: { attention: [1], ffn: [0, 2] } },
  );
  const genes = fc.tuple(...geneCardinalities(space).map((count) => fc.integer({ min: 0, max: count - 1 })));

  it('say every axis, and come back', () => {
    expect(geneCardinalities(space)).toEqual([2, 2, 2, 2, 3, 3, 3, 2, 2, 2, 2, 2, 2, 2]);
    fc.assert(
      fc.property(genes, genes, (values, others) => {
        const subnet = genesToSubnet(space, values);
        validateSubnet(space, subnet);
        expect(canonicalSubnet(space, subnet)).toEqual(subnet);
        const used = usedGenes(space, values);
        expect(subnetToGenes(space, subnet)).toEqual(values.map((value, i) => (used[i] ? value : 0)));
        // What is not used says nothing; what is used says something.
        const other = values.map((value, i) => (used[i] ? value : others[i]!));
        expect(genesToSubnet(space, other)).toEqual(subnet);
        const changed = used.findIndex((isUsed, i) => isUsed && others[i] !== values[i]);
        if (changed < 0) return;
        const different = genesToSubnet(space, values.with(changed, others[changed]!));
        expect(subnetKey(different)).not.toBe(subnetKey(subnet));
      }),
    );
  });

  it('count each sub-network once', () => {
    const keys = new Set<string>();
    const small = createSpace(
      { layers: 2, heads: 2, ffn: 8, headGroup: 2, hidden: 8 },
      {
        layers: [1, 2],
        heads: [2],
        ffn: [4, 8],
        hidden: [4, 8],
        groupHeads: [1, 2],
        skip: { attention: [1], ffn: [0] },
      },
    );
    const visit = (head: readonly number[], rest: readonly number[]): void => {
      const [count, ...others] = rest;
      if (count === undefined) keys.add(subnetKey(genesToSubnet(small, head)));
      else for (let gene = 0; gene < count; gene++) visit([...head, gene], others);
    };
    visit([], geneCardinalities(small));
    expect(spaceSize(small)).toBe(keys.size);
  });

  it('leave old spaces as they were', () => {
    const plain = createSpace({ layers: 2, heads: 4, ffn: 24, hidden: 16 });
    expect(geneCardinalities(plain)).toHaveLength(5);
    expect(fullSubnet(plain)).toEqual({ layers: 2, heads: [4, 4], ffn: [24, 24] });
    expect(
      canonicalSubnet(plain, { ...fullSubnet(plain), hidden: 16, kvHeads: [4, 4], skipFfn: [false, false] }),
    ).toEqual(fullSubnet(plain));
    expect(uniformSubnet(plain, 2, 4, 24, 8)).toEqual({ ...fullSubnet(plain), hidden: 8 });
  });

  it.each<[object, Partial<SubnetConfig>]>([
    [{ name: 'hidden' }, { hidden: 17 }],
    [{ name: 'hidden' }, { hidden: 0 }],
    [{ name: 'hidden' }, { hidden: 7.5 }],
    [{ name: 'kvHeads' }, { kvHeads: [1, 1] }],
    [{ name: 'kvHeads[1]' }, { kvHeads: [1, 3, 1] }],
    [{ name: 'kvHeads[0]' }, { kvHeads: [0, 1, 1] }],
    [
      { layer: 2, heads: 4, kvHeads: 1 },
      { heads: [2, 4, 4], kvHeads: [1, 2, 1] },
    ],
    [{ layer: 0 }, { heads: [3, 3, 3], kvHeads: [2, 1, 1] }],
    [{ name: 'skipFfn' }, { skipFfn: [true] }],
    [{ name: 'heads[0]' }, { heads: [0, 3, 3] }],
  ])('refuse what does not fit: %o %o', (name, change) => {
    const subnet = { layers: 3, heads: [3, 3, 3], ffn: [8, 8, 8], ...change };
    const wrong = expect.objectContaining({ code: 'invalid-subnet', details: expect.objectContaining(name) });
    expect(() => validateSubnet(space, subnet)).toThrow(wrong);
  });

  it('know the hidden size where it is elastic', () => {
    expect(() => createSpace({ layers: 1, heads: 1, ffn: 8 }, { hidden: [8] })).toThrow(SupernetError);
  });

  it.each([{ hidden: [32] }, { groupHeads: [4] }, { skip: { attention: [3] } }, { skip: { ffn: [-1] } }])(
    'refuse choices that the model does not have: %o',
    (choices) => {
      const shape = { layers: 3, heads: 6, ffn: 24, headGroup: 3, hidden: 16 };
      expect(() => createSpace(shape, choices)).toThrow(expect.objectContaining({ code: 'invalid-subnet' }));
    },
  );
});

describe('a decoder with blocks left out', () => {
  beforeAll(() => useBackend('wasm'));

  it('runs over a cache, and in pieces, as at once', async () => {
    const model = tinyLlama(4);
    const subnet: SubnetConfig = {
      layers: 2,
      heads: [4, 2],
      ffn: [24, 8],
      hidden: 8,
      kvHeads: [2, 2],
      skipAttention: [true, false],
      skipFfn: [false, true],
    };
    const ids = Array.from({ length: 20 }, (_, i) => (7 * i) % 32);
    const inputIds = tf.tensor2d(ids, [1, 20], 'int32');
    const whole = model.forward({ inputIds }, { subnet, logits: 'last' }).logits;
    const cache = new ConcatKeyValueCache();
    const last = await prefill(model, ids, cache, { subnet, chunkTokens: 7 });
    expect(await last.data()).toBeAllclose(await whole.data(), { atol: 1e-5, rtol: 0 });
    expect(cache.length).toBe(20);
    const losses = await tokenLosses(model, ids, { subnet, chunkTokens: 3, logitRows: 2 });
    const alone = await extractModel(model, subnet);
    expect(await tokenLosses(alone, ids)).toBeAllclose(losses, { atol: 1e-5, rtol: 0 });
    for (const each of [model, alone, cache]) each.dispose();
  });
});
