// Leases: however processes take turns, stall and come back, a trial has one result, from whoever held its last lease.
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SearchError } from '../../src/errors.ts';
import { createStudy, openStudy, readStudy } from '../../src/study/sqlite.ts';
import type { StudyHeader } from '../../src/study/header.ts';
import { Study } from '../../src/study/study.ts';

const folder = mkdtempSync(join(tmpdir(), 'leases-'));
let files = 0;
const newPath = () => join(folder, `${files++}.db`);
const header: StudyHeader = {
  name: 'default',
  uid: 'uid',
  problem: 'p',
  space: [{ type: 'integer', lower: 0, upper: 99_999 }],
  objectives: [{ name: 'loss', direction: 'minimize', kind: 'measured' }],
  fingerprint: 'f',
  tactic: 'random',
  settings: { evaluations: 3, proposals: 'asynchronous' },
  seed: 1,
  createdAt: 1,
};
const candidate = (gene: number) => ({ genes: [gene], key: String(gene), origin: 'random' });
const extend = (study: Study, genes: readonly number[], room = 1000) =>
  study.extend(genes.map(candidate), { room: () => room, seedOf: (number) => number });
/** The result says who measured, and with which lease. */
const outcome = (who: number, lease: number) => ({
  values: { loss: who, lease },
  host: String(who),
  worker: 'w',
  startedAt: 1,
  durationMs: 1,
  attempts: 1,
});
const codeOf = (action: () => void): string | undefined => {
  try {
    action();
    return undefined;
  } catch (error) {
    return error instanceof SearchError ? error.code : String(error);
  }
};

/** As if a process had given no sign of life for longer than its leases. */
function stall(path: string, lease: { number: number; lease: number }): void {
  const database = new DatabaseSync(path);
  database
    .prepare("UPDATE trials SET lease_until = 0 WHERE number = ? AND lease = ? AND status = 'running'")
    .run(lease.number, lease.lease);
  database.close();
}

describe('leases', () => {
  it('never give a trial two results, nor one of a process that had lost it', () => {
    const turn = fc.record({
      who: fc.nat(2),
      what: fc.constantFrom(
        'extend',
        'take',
        'complete',
        'fail',
        'release',
        'report',
        'stop',
        'stall',
        'reclaim',
        'refresh',
      ),
      which: fc.nat(3),
    });
    fc.assert(
      fc.property(fc.array(turn, { minLength: 6, maxLength: 30 }), (turns) => {
        const path = newPath();
        const studies = [createStudy(path, header), openStudy(path), openStudy(path)];
        /** The model: who may end which trial. */
        const held = new Map<number, { who: number; lease: number }>();
        const mine: { number: number; lease: number }[][] = [[], [], []];
        const results = new Map<number, string>();
        let gene = 0;
        for (const { who, what, which } of turns) {
          const study = studies[who]!;
          const own = mine[who]![which % Math.max(1, mine[who]!.length)];
          if (what === 'extend') {
            extend(study, [gene, gene + 1, which]);
            gene += 2;
          } else if (what === 'refresh') study.refresh();
          else if (what === 'reclaim') study.reclaim();
          else if (what === 'take') {
            study.refresh();
            const taken = study.take(1);
            if (!taken) continue;
            if (results.has(taken.number)) throw new Error(`trial ${taken.number} was handed out again`);
            const one = { number: taken.number, lease: taken.lease! };
            held.set(taken.number, { who, lease: taken.lease! });
            mine[who]!.push(one);
          } else if (own && what === 'stall') {
            stall(path, own);
            // Another looks, and puts it back.
            const other = studies[(who + 1) % 3]!;
            other.refresh();
            if (other.reclaim() > 0)
              for (const [number] of held) if (other.trials[number]!.status === 'pending') held.delete(number);
          } else if (own) {
            const isHeld = held.get(own.number)?.lease === own.lease && !results.has(own.number);
            const code = codeOf(() => {
              if (what === 'complete') study.complete(own.number, outcome(who, own.lease));
              if (what === 'fail') study.fail(own.number, `by ${who}`, 1);
              if (what === 'stop') study.stop(own.number, outcome(who, own.lease));
              if (what === 'release') study.release(own.number);
              if (what === 'report') study.report(own.number, { step: which, values: { loss: who } });
            });
            if (code !== (isHeld ? undefined : 'lease-lost'))
              throw new Error(`${what} of trial ${own.number}: ${code}`);
            if (!isHeld || what === 'report') continue;
            held.delete(own.number);
            if (what !== 'release') results.set(own.number, `${what} ${who} ${own.lease}`);
          }
        }
        const { trials } = readStudy(path);
        expect(new Set(trials.map(({ key }) => key)).size).toBe(trials.length);
        for (const { number, status, values, host, lease } of trials) {
          const said = results.get(number);
          expect(status === 'complete' || status === 'failed' || status === 'stopped').toBe(said !== undefined);
          const shown = status === 'complete' ? `complete ${host} ${values!['lease']}` : said;
          expect(shown).toBe(said);
          expect(said?.endsWith(` ${lease}`) ?? true).toBe(true);
        }
        for (const study of studies) {
          study.refresh();
          expect(study.trials.map(({ status }) => status)).toEqual(trials.map(({ status }) => status));
          study.close();
        }
      }),
      { numRuns: 15 },
    );
  });

  it('what several propose is in the study once, in order, and never more than there is room for', () => {
    const path = newPath();
    using a = createStudy(path, header);
    using b = openStudy(path);
    expect(extend(a, [1, 2, 2, 3]).map(({ number, round }) => [number, round])).toEqual([
      [0, 0],
      [1, 0],
      [2, 0],
    ]);
    expect(extend(b, [3, 4, 5, 6], 2).map(({ number, round, genes }) => [number, round, genes[0]])).toEqual([
      [3, 1, 4],
      [4, 1, 5],
    ]);
    expect(extend(a, [1, 4])).toEqual([]);
    a.refresh();
    expect(a.trials.map(({ genes }) => genes[0])).toEqual([1, 2, 3, 4, 5]);
    expect(a.rounds.map(({ info }) => info['proposed'])).toEqual([3, 2]);
  });

  it('keep what was reported on the way, across processes and after an attempt that was lost', () => {
    const path = newPath();
    using a = createStudy(path, header);
    using b = openStudy(path);
    extend(a, [1]);
    const { number, lease } = a.take(1)!;
    a.report(number, { step: 2, values: { loss: Number.NaN } });
    a.report(number, { step: 1, values: { loss: 5 } });
    stall(path, { number, lease: lease! });
    b.refresh();
    expect(b.trials[0]!.intermediate).toEqual([
      { step: 1, values: { loss: 5 } },
      { step: 2, values: { loss: Number.NaN } },
    ]);
    expect(b.reclaim()).toBe(1);
    expect(b.take(2)).toMatchObject({ number, lease: lease! + 1, attempts: 2 });
    b.report(number, { step: 1, values: { loss: 4 } });
    b.complete(number, outcome(1, 2));
    expect(() => a.report(number, { step: 3, values: { loss: 1 } })).toThrow(
      expect.objectContaining({ code: 'lease-lost' }),
    );
    expect(readStudy(path).trials[0]).toMatchObject({
      status: 'complete',
      intermediate: [{ step: 1, values: { loss: 4 } }, { step: 2 }],
    });
  });

  it('a larger budget that one process gives is every process’s', () => {
    const path = newPath();
    using a = createStudy(path, header);
    using b = openStudy(path);
    a.setSettings({ ...header.settings, evaluations: 9 });
    b.refresh();
    expect(b.header.settings['evaluations']).toBe(9);
  });

  it('a study in memory has them, too, and no one to lose them to', () => {
    const study = new Study(header);
    extend(study, [1, 2]);
    expect(study.take(1, ({ number }) => number === 1)).toMatchObject({ number: 1, status: 'running', lease: 1 });
    study.release(1);
    expect(study.take(1)).toMatchObject({ number: 0 });
    expect(study.take(1)).toMatchObject({ number: 1, lease: 2, attempts: 1 });
    expect(study.take(1)).toBeUndefined();
    expect([study.isShared, study.isAccompanied, study.reclaim()]).toEqual([false, false, 0]);
  });
});
