// The rows of a call's parts lie one after another and are those of the call.
import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { partRows } from '../../src/index.ts';

const sizes = fc.record({
  kvHeads: fc.integer({ min: 1, max: 3 }),
  group: fc.integer({ min: 1, max: 3 }),
  headDim: fc.integer({ min: 1, max: 5 }),
});

it('parts together are the call, in order, and what is written to them is written to it', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 1, max: 6 }), { maxLength: 5 }),
      sizes,
      (rows, { kvHeads, group, headDim }) => {
        const heads = kvHeads * group;
        const total = rows.reduce((sum, count) => sum + count, 0);
        const numbers = (count: number) => Float32Array.from({ length: total * count * headDim }, (_, i) => i);
        const call = {
          q: numbers(heads),
          k: numbers(kvHeads),
          v: numbers(kvHeads),
          out: new Float32Array(total * heads * headDim),
        };
        const parts = [
          ...partRows(
            rows.map((count, kind) => ({ rows: count, kind })),
            { heads, kvHeads, headDim },
            call,
          ),
        ];
        expect(parts.map((part) => [part.rows, part.kind])).toEqual(rows.map((count, kind) => [count, kind]));
        for (const name of ['q', 'k', 'v'] as const)
          expect(parts.flatMap((part) => [...part[name]])).toEqual([...call[name]]);
        for (const { rows: count, q, k, out } of parts) {
          expect([q.length, k.length]).toEqual([count * heads * headDim, count * kvHeads * headDim]);
          out.set(q);
        }
        expect(call.out).toEqual(call.q);
      },
    ),
  );
});
