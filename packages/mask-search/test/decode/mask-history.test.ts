// What a cache that is cut back may decode with: the mask that a cache which never went further would use.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { emptyMask, MaskHistory, type BlockMask } from '../../src/index.ts';

const INTERVAL = 4;

/** A mask of one length; the window says when it was found. */
function maskOf(keys: number, queries: number): BlockMask {
  const config = { blockQ: 1, blockK: 1, sink: 0, window: 10, causal: true, shareHeads: true };
  return emptyMask({ batch: 1, queries, keys, heads: 1, kvHeads: 1, headDim: 1 }, config, 1);
}

/** Goes on by so many tokens: single rows decode, several are a prefill. Returns what a row used: the length its mask was found at. */
function step(history: MaskHistory, keys: number, rows: number): number {
  if (rows === 1) {
    const mask = history.serving(keys, INTERVAL);
    if (mask) return keys - (mask.window - 10);
  }
  history.search(keys, rows)(maskOf(keys, rows));
  return keys;
}

describe('MaskHistory', () => {
  it('a cut leaves it as if what came after had never been', () => {
    const rows = fc.array(fc.oneof(fc.constant(1), fc.integer({ min: 2, max: 5 })), { maxLength: 12 });
    fc.assert(
      fc.property(rows, rows, rows, (before, failed, after) => {
        const [cut, never] = [new MaskHistory(), new MaskHistory()];
        let keys = 0;
        for (const count of before) {
          keys += count;
          step(cut, keys, count);
          step(never, keys, count);
        }
        let ahead = keys;
        // As many searches as are remembered, however many prefill chunks between.
        let searches = 0;
        for (const count of failed) {
          const isSearch = count === 1 && !cut.serving(ahead + 1, INTERVAL);
          if (isSearch && ++searches > 1) break;
          ahead += count;
          step(cut, ahead, count);
        }
        cut.truncate(keys);
        for (const count of after) {
          keys += count;
          expect(step(cut, keys, count)).toBe(step(never, keys, count));
        }
      }),
    );
  });

  it('serves single rows only, for as long as it may, and widens the window', () => {
    const history = new MaskHistory();
    history.search(20, 5)(maskOf(20, 5));
    expect(history.last?.queries).toBe(5);
    expect(history.serving(21, INTERVAL)).toBeUndefined();
    history.search(21, 1)(maskOf(21, 1));
    expect(history.serving(24, INTERVAL)).toMatchObject({ keys: 24, window: 13 });
    expect(history.serving(25, INTERVAL)).toBeUndefined();
  });

  it('takes no mask that arrives after its tokens have gone', () => {
    const history = new MaskHistory();
    const late = history.search(20, 1);
    history.truncate(19);
    late(maskOf(20, 1));
    expect(history.serving(21, INTERVAL)).toBeUndefined();
    const chunk = history.search(25, 5);
    history.search(30, 5);
    chunk(maskOf(25, 5));
    expect(history.last).toBeUndefined();
  });

  it('forks into one that goes on by itself, without the calls that still run', () => {
    const history = new MaskHistory();
    history.search(20, 1)(maskOf(20, 1));
    const late = history.search(23, 1);
    const fork = history.fork();
    late(maskOf(23, 1));
    expect(history.serving(24, INTERVAL)?.window).toBe(11);
    expect(fork.serving(24, INTERVAL)).toBeUndefined();
    fork.truncate(22);
    expect(fork.serving(22, INTERVAL)?.window).toBe(12);
    expect(history.last?.keys).toBe(23);
    fork.search(30, 1)(maskOf(30, 1));
    history.truncate(22);
    expect(history.last?.keys).toBe(20);
    expect(fork.last?.keys).toBe(30);
  });

  it('takes no mask of a call that was cut off, though a later one reached its length again', () => {
    const forgotten: BlockMask[] = [];
    const history = new MaskHistory<BlockMask>((mask) => forgotten.push(mask));
    history.search(2, 2);
    const late = history.search(4, 2);
    history.truncate(2);
    history.search(4, 2)(maskOf(4, 2));
    const { last } = history;
    late(maskOf(4, 2));
    expect(history.last).toBe(last);
    expect(forgotten).toHaveLength(1);
  });

  it('gives back each mask that it forgets, once, and none that serves', () => {
    const operation = fc.oneof(
      fc.record({ rows: fc.integer({ min: 1, max: 3 }), late: fc.boolean() }),
      fc.record({ cut: fc.integer({ min: 0, max: 4 }) }),
    );
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 30 }), (operations) => {
        const forgotten: BlockMask[] = [];
        const made: BlockMask[] = [];
        const history = new MaskHistory<BlockMask>((mask) => forgotten.push(mask));
        let keys = 0;
        let waiting: (() => void)[] = [];
        for (const one of operations) {
          if ('cut' in one) history.truncate((keys = Math.max(0, keys - one.cut)));
          else {
            keys += one.rows;
            const receive = history.search(keys, one.rows);
            const mask = maskOf(keys, one.rows);
            made.push(mask);
            if (one.late) waiting.push(() => receive(mask));
            else receive(mask);
          }
          expect(forgotten).not.toContain(history.last);
        }
        for (const arrive of waiting) arrive();
        history.truncate(0);
        expect(new Set(forgotten)).toEqual(new Set(made));
        expect(forgotten).toHaveLength(made.length);
      }),
    );
  });

  it('remembers no more than a few: cut back further, it asks for a search', () => {
    const history = new MaskHistory();
    for (let keys = 1; keys <= 100; keys++) step(history, keys, 1);
    history.truncate(50);
    expect(history.serving(51, INTERVAL)).toBeUndefined();
    expect(step(history, 51, 1)).toBe(51);
  });
});
