import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { GeneSet } from '../../src/engine/gene-set.ts';

describe('GeneSet', () => {
  it('behaves as a set of strings would, through growth and clearing', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(6), fc.nat(6), fc.double({ noNaN: true })), { maxLength: 200 }), (rows) => {
        const set = new GeneSet(3, 1);
        const plain = new Set<string>();
        for (let round = 0; round < 2; round++) {
          for (const row of rows) {
            const genes = Float64Array.from([9, ...row.map((value) => value + 0)]);
            const key = genes.slice(1).join();
            expect(set.add(genes, 1)).toBe(!plain.has(key));
            plain.add(key);
          }
          expect(set.size).toBe(plain.size);
          expect(set.toJSON().map((genes) => genes.join())).toEqual([...plain]);
          set.clear();
          plain.clear();
        }
      }),
    );
  });
});
