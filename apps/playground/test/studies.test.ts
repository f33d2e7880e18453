// The page of studies in headless Chromium: SQLite read in the page, of this project and of Optuna, JSON, what is no study, exports.
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { describeBrowser } from '@hip/testing';
import type { TestPage } from '@hip/testing/browser';
import { bertSynth, runSearch } from '@instatune/search';
import { readStudy } from '@instatune/search/node';
import { toStudyView, type StudyView } from '@instatune/search/report';
import { droppedStudy } from '../src/studies/dropped.ts';
import { viewCsv } from '../src/studies/export.ts';
import { parseView } from '../src/studies/parse-view.ts';
import { applyLog, usesLog, withoutLog } from '../src/studies/write-ahead-log.ts';
import { builtSite, openIsolated, picture, press, text, waitForText, wide } from './site.ts';

const OPTUNA = join(import.meta.dirname, '../../../packages/search/test/fixtures/optuna.sql');
const folder = mkdtempSync(join(tmpdir(), 'studies-'));
const path = join(folder, 'search.db');
let view: StudyView;

beforeAll(async () => {
  await runSearch(bertSynth(), {
    tactic: 'random',
    evaluations: 20,
    population: 20,
    seed: 2,
    study: { path, name: 'first' },
  });
  await runSearch(bertSynth(), {
    tactic: 'random',
    evaluations: 30,
    population: 30,
    seed: 1,
    study: { path, name: 'second' },
  });
  view = toStudyView(readStudy(path, 'second'));
  const optuna = new DatabaseSync(join(folder, 'optuna.db'));
  optuna.exec(readFileSync(OPTUNA, 'utf8'));
  optuna.close();
  writeFileSync(join(folder, 'saved.json'), JSON.stringify(view));
  writeFileSync(join(folder, 'other.json'), '{"name": "x", "variables": [], "objectives": [], "trials": []}');
  // As while a search runs: its newest trials lie in the log alone.
  const live = new DatabaseSync(path);
  live.exec('PRAGMA wal_checkpoint(TRUNCATE); INSERT INTO studies SELECT * FROM studies WHERE 0');
  live.exec("UPDATE studies SET name = 'third' WHERE name = 'second'");
  copyFileSync(path, join(folder, 'live.db'));
  copyFileSync(`${path}-wal`, join(folder, 'live.db-wal'));
  live.exec("UPDATE studies SET name = 'second' WHERE name = 'third'");
  live.close();
  const begun = new DatabaseSync(join(folder, 'new.db'));
  begun.exec('PRAGMA journal_mode = WAL; CREATE TABLE other (id INTEGER)');
  copyFileSync(join(folder, 'new.db'), join(folder, 'begun.db'));
  begun.close();
  writeFileSync(join(folder, 'cut.db'), readFileSync(path).subarray(0, 6000));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('a study in JSON', () => {
  it('is read as it was written', () => expect(parseView(JSON.stringify(view), 'a.json')).toEqual(view));

  it.each(['', '[]', '{"name": 1}', JSON.stringify({ name: 'x', variables: [], objectives: [], trials: [] })])(
    'refuses %s',
    (json) => {
      expect(() => parseView(json, 'a.json')).toThrow(expect.objectContaining({ code: 'not-a-study' }));
    },
  );

  it('becomes a table that no spreadsheet computes', () => {
    const lines = viewCsv(view).trim().split('\r\n');
    expect(lines).toHaveLength(31);
    expect(lines[0]).toBe(
      ['number', 'state', ...view.variables.map(({ name }) => name), ...view.objectives.map(({ name }) => name)].join(
        ',',
      ),
    );
    const [trial] = view.trials;
    const risky = { ...view, trials: [{ ...trial!, state: '=1+1', values: {}, objectives: {} }] };
    expect(viewCsv(risky)).toContain(",'=1+1,");
  });
});

describe('a write-ahead log', () => {
  const read = (bytes: Uint8Array): unknown[] => {
    const file = join(folder, 'applied.db');
    rmSync(file, { force: true });
    writeFileSync(file, bytes);
    const database = new DatabaseSync(file, { readOnly: true });
    try {
      expect(database.prepare('PRAGMA integrity_check').get()).toEqual({ integrity_check: 'ok' });
      return database.prepare('SELECT * FROM t ORDER BY id').all();
    } finally {
      database.close();
    }
  };

  it('gives what SQLite itself reads, after any transactions, checkpoints and a torn end', () => {
    const step = fc.oneof(
      { weight: 6, arbitrary: fc.record({ rows: fc.integer({ min: 1, max: 60 }), from: fc.nat(200) }) },
      { weight: 2, arbitrary: fc.constantFrom('PASSIVE', 'RESTART', 'TRUNCATE') },
      { weight: 1, arbitrary: fc.constantFrom('shrink', 'rolled back') },
    );
    const sizes = fc.constantFrom(512, 4096, 65_536);
    let run = 0;
    fc.assert(
      fc.property(
        fc.array(step, { maxLength: 12 }),
        sizes,
        fc.double({ min: 0, max: 1, noNaN: true }),
        (steps, size, torn) => {
          const file = join(folder, `log-${run++}.db`);
          const database = new DatabaseSync(file);
          database.exec(`PRAGMA page_size = ${size}; PRAGMA journal_mode = WAL; PRAGMA auto_vacuum = FULL`);
          database.exec('CREATE TABLE t (id INTEGER PRIMARY KEY, text TEXT)');
          for (const each of steps) {
            if (typeof each === 'object') {
              database.exec('BEGIN');
              for (let i = 0; i < each.rows; i++)
                database.exec(`INSERT OR REPLACE INTO t VALUES (${each.from + i}, '${'x'.repeat(7 * i)}')`);
              database.exec('COMMIT');
            } else if (each === 'shrink') database.exec('DELETE FROM t WHERE id > 20');
            else if (each === 'rolled back')
              database.exec("BEGIN; INSERT OR REPLACE INTO t VALUES (1, 'no'); ROLLBACK");
            else database.exec(`PRAGMA wal_checkpoint(${each})`);
          }
          const expected = database.prepare('SELECT * FROM t ORDER BY id').all();
          const [main, log] = [file, `${file}-wal`].map((name) => new Uint8Array(readFileSync(name)));
          const all = applyLog(main!.slice(), log!, 'a-wal');
          // Torn: the whole transactions before are what SQLite recovers too.
          const part = log!.slice(0, Math.floor(torn * log!.length));
          const tornFile = `${file}.torn`;
          writeFileSync(tornFile, main!);
          writeFileSync(`${tornFile}-wal`, part);
          database.close();
          expect(read(withoutLog(all))).toEqual(expected);
          if (part.length < 32) return;
          const recovered = new DatabaseSync(tornFile);
          const rows = recovered.prepare("SELECT count(*) AS n FROM sqlite_master WHERE name = 't'").get() as {
            n: number;
          };
          const wanted = rows.n === 0 ? undefined : recovered.prepare('SELECT * FROM t ORDER BY id').all();
          recovered.close();
          expect(wanted && read(withoutLog(applyLog(main!.slice(), part, 'a-wal')))).toEqual(wanted);
        },
      ),
      { numRuns: 12 },
    );
  });

  it('of something else is refused, and an empty one changes nothing', () => {
    const database = new Uint8Array(readFileSync(path));
    expect(usesLog(database)).toBe(true);
    expect(applyLog(database, new Uint8Array(), 'a-wal')).toBe(database);
    for (const log of [new Uint8Array(100), new TextEncoder().encode('no log at all, but a text of some length')])
      expect(() => applyLog(database, log, 'a-wal')).toThrow(expect.objectContaining({ code: 'corrupt-log' }));
    const other = new Uint8Array(readFileSync(join(folder, 'live.db-wal')));
    new DataView(other.buffer).setUint32(8, 512);
    expect(() => applyLog(database, other, 'a-wal')).toThrow(expect.objectContaining({ code: 'corrupt-log' }));
  });

  it('is found among what was dropped', () => {
    const file = (name: string): File => new File([], name);
    const [db, wal, shm] = ['a.db', 'a.db-wal', 'a.db-shm'].map(file) as [File, File, File];
    expect(droppedStudy([shm, wal, db])).toEqual({ file: db, log: wal });
    expect(droppedStudy([db])).toEqual({ file: db, log: undefined });
    for (const [files, code] of [
      [[wal, shm], 'no-study'],
      [[db, file('b.db')], 'several-studies'],
      [[db, file('b.db-wal')], 'other-log'],
    ] as const)
      expect(() => droppedStudy(files)).toThrow(expect.objectContaining({ code }));
  });
});

describeBrowser('studies', (open) => {
  let site: string;
  let tab: TestPage;
  beforeAll(async () => {
    site = await builtSite();
    tab = await open({ root: site, isolated: false });
    await openIsolated(tab.page, `${tab.url}/studies/`);
  });
  afterAll(async () => {
    await tab?.[Symbol.asyncDispose]();
  });
  const drop = async (...names: readonly string[]): Promise<void> => {
    const input = await tab.page.$('input[name=study]');
    await (input as unknown as { uploadFile(...paths: readonly string[]): Promise<void> }).uploadFile(
      ...names.map((name) => join(folder, name)),
    );
  };

  it('shows the newest study of a file, and any other', async () => {
    const { page } = tab;
    await drop('search.db');
    await waitForText(page, '.status', /^second: 30 trials/);
    await page.waitForSelector('instatune-study .front svg');
    expect(await text(page, 'instatune-study')).toContain('30 measured');
    await page.select('select[name=name]', 'first');
    await waitForText(page, '.status', /^first: 20 trials/);
    await waitForText(page, 'instatune-study', /20 measured/);
    await page.waitForSelector('instatune-study .importance svg');
    await picture(page, 'studies');
    expect(await wide(page)).toBeLessThanOrEqual(0);
    // Figures are drawn again for the width, not scaled down.
    await page.setViewport({ width: 360, height: 800 });
    await page.waitForFunction(
      '[...document.querySelectorAll("svg[width]")].filter((figure) => figure.closest("section")).every((figure) => Number(figure.getAttribute("width")) < 360)',
    );
    await picture(page, 'studies-phone', 360);
  });

  it('makes one for visitors who have none', async () => {
    await press(tab.page, 'button[name=example]');
    await waitForText(tab.page, '.status', /^example: 240 trials/);
    expect(await waitForText(tab.page, 'instatune-study', /240 measured/)).toMatch(/tactic nsga2/);
  });

  it('shows Optuna’s, and what was saved from here', async () => {
    await drop('optuna.db');
    await waitForText(tab.page, '.status', /^single: \d+ trials/);
    await drop('saved.json');
    expect(await waitForText(tab.page, '.status', /^second: /)).toMatch(/30 trials/);
  });

  it('reads what a search that still runs has written, from its log', async () => {
    await drop('optuna.db');
    await waitForText(tab.page, '.status', /^single: /);
    await drop('live.db');
    await waitForText(tab.page, '.status', /^second: 30 trials/);
    await drop('live.db', 'live.db-wal');
    expect(await waitForText(tab.page, '.status', /^third/)).toBe('third: 30 trials.');
  });

  it('says of other files what is wrong with them, and goes on', async () => {
    const noise = Uint8Array.from({ length: 8192 }, (_, i) => (i * i * 31 + 7 * i + 3) % 251);
    const bad: Readonly<Record<string, string | Uint8Array>> = {
      'empty.db': '',
      'half.json': '{"name": "half", "trials": [{"number": 0,',
      'list.json': '[1, 2, 3]',
      'picture.png': noise,
      'garbage.db': Buffer.concat([Buffer.from('SQLite format 3\0'), noise]),
    };
    for (const [name, content] of Object.entries(bad)) writeFileSync(join(folder, name), content);
    for (const [name, pattern] of [
      ['other.json', /not-a-study.*objectives/],
      ['cut.db', /corrupt-study/],
      ['begun.db', /log-missing.*begun\.db-wal: drop both together/],
      ['live.db-wal', /no-study.*drop live\.db together with it/],
      ['empty.db', /not-a-study.*empty\.db/],
      ['half.json', /not-a-study.*half\.json/],
      ['list.json', /not-a-study.*list\.json/],
      ['picture.png', /not-a-study.*picture\.png/],
      ['garbage.db', /corrupt-study.*garbage\.db/],
    ] as const) {
      await drop(name);
      await waitForText(tab.page, '[role=alert]', pattern);
    }
    await drop('search.db');
    await waitForText(tab.page, '.status', /^second: 30 trials/);
    expect(tab.errors.filter((error) => !/ERR_ABORTED/.test(error))).toEqual([]);
  });
});
