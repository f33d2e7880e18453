// Blocks: any reads give the bytes there are, each block is asked for once while it is kept, runs are one request.
import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { blockReader } from '../../src/files/block-source.ts';

const MIB = 2 ** 20;
const bytesAt = (from: number, to: number) =>
  Uint8Array.from({ length: to - from }, (_, i) => (from + i) ^ ((from + i) >> 9));

it('any reads of files of any size give their bytes, a file that is kept travels once', async () => {
  const read = fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.nat({ max: 300_000 }));
  await fc.assert(
    fc.asyncProperty(
      fc.nat({ max: 20 * MIB }),
      fc.boolean(),
      fc.array(read, { maxLength: 12 }),
      async (size, hasFirst, reads) => {
        let asked = 0;
        const load = async (from: number, to: number) => {
          asked += to - from;
          return bytesAt(from, to);
        };
        const first = hasFirst ? bytesAt(0, Math.min(size, 8 * MIB)) : undefined;
        const source = blockReader(size, load, first);
        const parts = reads.map(([share, length]) => {
          const offset = Math.floor(share * size);
          return [offset, Math.min(length, size - offset)] as const;
        });
        const found = await Promise.all(parts.map(([offset, length]) => source.read(offset, length)));
        for (const [i, [offset, length]] of parts.entries()) {
          expect(Buffer.compare(found[i]!, bytesAt(offset, offset + length))).toBe(0);
        }
        expect(asked).toBeLessThanOrEqual(size);
      },
    ),
    { numRuns: 8 },
  );
});

it('a large file is read through small blocks, a large read is one request', async () => {
  const requests: number[] = [];
  const source = blockReader(500 * MIB, async (from, to) => {
    requests.push(to - from);
    return bytesAt(from, to);
  });
  await source.read(100 * MIB + 5, 10);
  await source.read(100 * MIB + 700, 1000);
  const large = await source.read(200 * MIB - 3, 20 * MIB + 6);
  await source.read(220 * MIB, 10);
  expect(requests).toEqual([MIB, 22 * MIB]);
  expect(Buffer.compare(large.subarray(-5), bytesAt(220 * MIB - 2, 220 * MIB + 3))).toBe(0);
});

it('a block that failed is asked for anew', async () => {
  let fails = true;
  const source = blockReader(100, async (from, to) => {
    if (fails) throw new Error('cut');
    return bytesAt(from, to);
  });
  await expect(source.read(0, 10)).rejects.toThrow('cut');
  fails = false;
  expect(await source.read(0, 10)).toEqual(bytesAt(0, 10));
});
