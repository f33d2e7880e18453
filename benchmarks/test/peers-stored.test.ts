// Rows of the peers' table replaced in its stored result: whole rows only, and only where cells do not depend on other runs.
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { flatOf, readStored, replaced, rowOf } from '../src/peers/stored.ts';
import { standing, type PeerRow } from '../src/peers/table.ts';

const stored = readStored(join(import.meta.dirname, '../results/peers.json'));
const rows = stored.rows.flatMap((flat) => rowOf(flat) ?? []);
const named = (task: string, algorithm: string, all: readonly PeerRow[] = rows): PeerRow =>
  all.find((row) => row.task === task && row.algorithm === algorithm)!;

describe('the stored table of the peers', () => {
  it('reads as it was written', () => {
    expect(rows.length).toBeGreaterThan(100);
    expect(rows.map(flatOf)).toEqual(stored.rows.filter(({ part }) => part === 'hypervolume'));
  });

  it('says where LINAS stands by its own rows', () => {
    expect(standing(rows, 'ours linas').map((row) => ({ part: 'standing of linas', ...row }))).toEqual(
      stored.rows.filter(({ part }) => part === 'standing of linas'),
    );
  });

  it('takes a new row for the one of its task and algorithm, whole, and leaves the others', () => {
    const own: PeerRow = { ...named('WFG9', 'ours linas'), seeds: 3, median: { 50: 0.9 }, worst: { 50: 0.8 } };
    const after = replaced(rows, [own], ['WFG9']);
    expect(named('WFG9', 'ours linas', after)).toEqual(own);
    expect(after.filter((row) => row !== own)).toEqual(rows.filter((row) => row !== named('WFG9', 'ours linas')));
    const fresh: PeerRow = { ...own, algorithm: 'somebody' };
    expect(replaced(rows, [fresh], ['WFG9'])).toHaveLength(rows.length + 1);
    expect(() => replaced(rows, [{ ...own, task: 'OFA-MobileNetV3' }], ['WFG9'])).toThrow('OFA-MobileNetV3');
  });
});
