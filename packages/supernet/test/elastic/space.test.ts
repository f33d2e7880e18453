// The search space: paper spaces by default, genes ↔ sub-networks, canonical form, rejections.
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { canonicalSubnet, fullSubnet, sampleSubnet, smallestSubnet, subnetKey } from '../../src/elastic/subnets.ts';
import { createSpace, spaceSize } from '../../src/elastic/space.ts';
import { geneCardinalities, genesToSubnet, subnetToGenes, usedGenes } from '../../src/elastic/genes.ts';
import { validateSubnet } from '../../src/elastic/validate.ts';
import type { ElasticSpace } from '../../src/elastic/types.ts';
import { SupernetError } from '../../src/errors.ts';

const bert = createSpace({ layers: 12, heads: 12, ffn: 3072 });
const books = createSpace({ layers: 6, heads: 4, ffn: 768, headGroup: 2 });

const genes = (space: ElasticSpace) =>
  fc.tuple(...geneCardinalities(space).map((count) => fc.integer({ min: 0, max: count - 1 })));

describe('elastic space', () => {
  it("defaults to the paper's space for BERT-base", () => {
    expect(bert.layers).toEqual([6, 7, 8, 9, 10, 11, 12]);
    expect(bert.heads).toEqual([6, 8, 10, 12]);
    expect(bert.ffn).toEqual([1024, 2048, 3072]);
    expect(spaceSize(bert)).toBe([6, 7, 8, 9, 10, 11, 12].reduce((sum, layers) => sum + 12 ** layers, 0));
  });

  it('keeps head choices multiples of the grouped-query group', () => {
    expect(books.heads).toEqual([2, 4]);
    expect(() => createSpace({ layers: 6, heads: 4, ffn: 768, headGroup: 2 }, { heads: [3] })).toThrow(SupernetError);
  });

  it('genes → sub-network → genes is the identity on canonical genes', () => {
    fc.assert(
      fc.property(genes(bert), (values) => {
        const subnet = genesToSubnet(bert, values);
        validateSubnet(bert, subnet);
        expect(canonicalSubnet(bert, subnet)).toEqual(subnet);
        const used = usedGenes(bert, values);
        expect(subnetToGenes(bert, subnet)).toEqual(values.map((value, i) => (used[i] ? value : 0)));
      }),
    );
  });

  it('sub-networks that differ only in unused layers are one', () => {
    fc.assert(
      fc.property(genes(books), genes(books), (a, b) => {
        const used = usedGenes(books, a);
        const other = a.map((value, i) => (used[i] ? value : b[i]!));
        expect(subnetKey(genesToSubnet(books, other))).toBe(subnetKey(genesToSubnet(books, a)));
        expect(genesToSubnet(books, other)).toEqual(genesToSubnet(books, a));
      }),
    );
  });

  it('samples every choice, repeatably', () => {
    let state = 1;
    const random = () => (state = (state * 48271) % 2147483647) / 2147483647;
    const samples = Array.from({ length: 400 }, () => sampleSubnet(books, random));
    expect(new Set(samples.map((s) => s.layers))).toEqual(new Set(books.layers));
    expect(new Set(samples.flatMap((s) => s.heads))).toEqual(new Set(books.heads));
    expect(new Set(samples.flatMap((s) => s.ffn))).toEqual(new Set(books.ffn));
  });

  it('knows its corners', () => {
    expect(fullSubnet(books)).toEqual({ layers: 6, heads: Array(6).fill(4), ffn: Array(6).fill(768) });
    expect(smallestSubnet(books).layers).toBe(3);
  });

  it.each([
    ['too many layers', { layers: 7, heads: Array(6).fill(4), ffn: Array(6).fill(768) }],
    ['short list', { layers: 2, heads: [4], ffn: Array(6).fill(768) }],
    ['half a group', { layers: 2, heads: Array(6).fill(3), ffn: Array(6).fill(768) }],
    ['zero units', { layers: 2, heads: Array(6).fill(4), ffn: Array(6).fill(0) }],
    ['fraction', { layers: 2, heads: Array(6).fill(4), ffn: Array(6).fill(1.5) }],
  ])('rejects %s', (_, subnet) => {
    expect(() => validateSubnet(books, subnet)).toThrow(expect.objectContaining({ code: 'invalid-subnet' }));
  });
});
