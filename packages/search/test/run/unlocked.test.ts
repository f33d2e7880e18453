// A study whose file another process locks for a while: a search goes on when it is free, and nothing is lost or done twice.
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { SearchError } from '../../src/errors.ts';
import { runSearch } from '../../src/run/run-search.ts';
import { whenUnlocked } from '../../src/run/unlocked.ts';
import { readStudy } from '../../src/study/sqlite.ts';
import { Study } from '../../src/study/study.ts';
import { createProblem } from '../fixtures/batches.ts';

const busy = (): SearchError => new SearchError('study-busy', 'locked', {});
const CHANGES = ['propose', 'extend', 'take', 'start', 'complete', 'stop', 'report', 'reclaim', 'refresh'] as const;
const fast = { firstPauseMs: 1, patienceMs: 60_000 };

describe('whenUnlocked', () => {
  it('tries again while the file is locked, and says what else is wrong at once', async () => {
    let tries = 0;
    const third = () => {
      if (++tries < 3) throw busy();
      return tries;
    };
    expect(await whenUnlocked(third, undefined, fast)).toBe(3);
    await expect(
      whenUnlocked(() => {
        tries++;
        throw new SearchError('study-unwritable', 'full', {});
      }),
    ).rejects.toMatchObject({ code: 'study-unwritable' });
    expect(tries).toBe(4);
  });

  it('gives up when the lock lasts, and on an abort', async () => {
    const locked = () => {
      throw busy();
    };
    await expect(whenUnlocked(locked, undefined, { firstPauseMs: 1, patienceMs: 5 })).rejects.toMatchObject({
      code: 'study-busy',
    });
    const abort = new AbortController();
    const waiting = whenUnlocked(locked, abort.signal, fast);
    abort.abort(new Error('enough'));
    await expect(waiting).rejects.toThrow('enough');
  });
});

it.each(['rounds', 'asynchronous'] as const)(
  'a search with %s gives the same trials through locks',
  async (proposals) => {
    const problem = createProblem();
    const settings = {
      tactic: 'random',
      evaluations: 8,
      population: 4,
      seed: 3,
      proposals,
      earlyStopping: true,
    } as const;
    const bare = ({ trials }: Awaited<ReturnType<typeof runSearch>>) =>
      trials.map(({ key, status, values, attempts, intermediate }) => ({
        key,
        status,
        values,
        attempts,
        intermediate,
      }));
    const free = await runSearch(problem, settings);
    const path = join(mkdtempSync(join(tmpdir(), 'unlocked-')), 'study.db');
    // Every third change is refused, as SQLite refuses it: before anything has changed.
    let calls = 0;
    let refused = 0;
    const spies = CHANGES.map((name) => {
      const own = Study.prototype[name] as (...args: unknown[]) => unknown;
      return vi.spyOn(Study.prototype, name).mockImplementation(function (this: Study, ...args: unknown[]) {
        if (++calls % 3 > 0) return own.apply(this, args) as never;
        refused++;
        throw busy();
      });
    });
    const through = await runSearch(problem, { ...settings, study: path }).finally(() => {
      for (const spy of spies) spy.mockRestore();
    });
    expect(refused).toBeGreaterThan(10);
    expect(bare(through)).toEqual(bare(free));
    expect(readStudy(path).trials.length).toBe(8);
  },
);
