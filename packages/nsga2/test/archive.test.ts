import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Nsga2Error, ParetoArchive, Random } from '../src/index.ts';
import { dominatesPlainly } from './oracle.ts';

const vectors = fc
  .integer({ min: 1, max: 4 })
  .chain((m) => fc.array(fc.array(fc.integer({ min: 0, max: 6 }), { minLength: m, maxLength: m }), { maxLength: 40 }));

describe('ParetoArchive', () => {
  it('holds the first of each non-dominated vector ever offered, sorted', () => {
    fc.assert(
      fc.property(vectors, (points) => {
        const archive = new ParetoArchive();
        points.forEach((objectives, id) => archive.add({ id, genes: [id], objectives }));
        const expected = points.flatMap((p, id) =>
          points.some((q) => dominatesPlainly(q, p)) || points.slice(0, id).some((q) => q.join() === p.join())
            ? []
            : [id],
        );
        expect(archive.entries.map(({ id }) => id).sort((a, b) => a - b)).toEqual(expected);
        const firsts = archive.entries.map(({ objectives }) => objectives[0]!);
        expect(firsts).toEqual(firsts.toSorted((a, b) => a - b));
      }),
      { numRuns: 300 },
    );
  });

  it('says whether the entry is a member now', () => {
    const archive = new ParetoArchive();
    expect(archive.add({ id: 0, genes: [], objectives: [1, 2] })).toBe(true);
    expect(archive.add({ id: 1, genes: [], objectives: [1, 2] })).toBe(false);
    expect(archive.add({ id: 2, genes: [], objectives: [1, 3] })).toBe(false);
    expect(archive.add({ id: 3, genes: [], objectives: [1, 1] })).toBe(true);
    expect(archive.entries.map(({ id }) => id)).toEqual([3]);
  });

  it('bounded, keeps the extremes and its size', () => {
    const archive = new ParetoArchive(10);
    const random = new Random(1);
    const ends = [Infinity, -Infinity];
    for (let id = 0; id < 300; id++) {
      const x = random.next();
      ends[0] = Math.min(ends[0]!, x);
      ends[1] = Math.max(ends[1]!, x);
      archive.add({ id, genes: [x], objectives: [x, 1 - x] });
      expect(archive.entries.length).toBeLessThanOrEqual(10);
    }
    expect(archive.entries[0]!.objectives[0]).toBe(ends[0]);
    expect(archive.entries.at(-1)!.objectives[0]).toBe(ends[1]);
    const gaps = archive.entries.slice(1).map((entry, i) => entry.objectives[0]! - archive.entries[i]!.objectives[0]!);
    expect(Math.max(...gaps)).toBeLessThan(0.3);
  });

  it('survives JSON', () => {
    const archive = new ParetoArchive(3);
    archive.add({ id: 4, genes: [1, 2], objectives: [0.1, 0.2] });
    const copy = ParetoArchive.fromJSON(JSON.parse(JSON.stringify(archive)));
    expect(copy.entries).toEqual(archive.entries);
    expect(copy.capacity).toBe(3);
    expect(ParetoArchive.fromJSON(new ParetoArchive().toJSON()).capacity).toBe(Infinity);
  });

  it('needs room', () => {
    expect(() => new ParetoArchive(0)).toThrow(Nsga2Error);
  });
});
