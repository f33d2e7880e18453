// Ranks as genes: one of each layer, there and back, counted once, refused where there are none.
import * as fc from 'fast-check';
import '@hip/testing';
import { describe, expect, it } from 'vitest';
import { geneCardinalities, genesToSubnet, subnetToGenes, usedGenes } from '../../src/elastic/genes.ts';
import { createSpace, spaceSize } from '../../src/elastic/space.ts';
import { canonicalSubnet, fullSubnet, smallestSubnet, subnetKey } from '../../src/elastic/subnets.ts';
import type { SubnetConfig } from '../../src/elastic/types.ts';

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
