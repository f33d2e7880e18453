// The page of studies in headless Chromium: SQLite read in the page, of this project and of Optuna, JSON, what is no study, exports.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { describeBrowser } from '@hip/testing';
import type { TestPage } from '@hip/testing/browser';
import { bertSynth, runSearch } from '@instatune/search';
import { readStudy } from '@instatune/search/node';
import { toStudyView, type StudyView } from '@instatune/search/report';
import { viewCsv } from '../src/studies/export.ts';
import { parseView } from '../src/studies/parse-view.ts';
import { builtSite, openIsolated, picture, text, waitForText, wide, type BuiltSite } from './site.ts';

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

describeBrowser('studies', (open) => {
  let site: BuiltSite;
  let tab: TestPage;
  beforeAll(async () => {
    site = await builtSite();
    tab = await open({ root: site.folder, isolated: false });
    await openIsolated(tab.page, `${tab.url}/studies/`);
  });
  afterAll(async () => {
    await tab?.[Symbol.asyncDispose]();
    site?.[Symbol.dispose]();
  });
  const drop = async (name: string): Promise<void> => {
    const input = await tab.page.$('input[name=study]');
    await (input as unknown as { uploadFile(path: string): Promise<void> }).uploadFile(join(folder, name));
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
    await picture(page, 'studies-phone', 360);
  });

  it('shows Optuna’s, and what was saved from here', async () => {
    await drop('optuna.db');
    await waitForText(tab.page, '.status', /^(?!first|second).*: \d+ trials/);
    await drop('saved.json');
    expect(await waitForText(tab.page, '.status', /^second: /)).toMatch(/30 trials/);
  });

  it('says of other files what is wrong with them, and goes on', async () => {
    for (const [name, pattern] of [
      ['other.json', /not-a-study.*objectives/],
      ['cut.db', /corrupt-study/],
    ] as const) {
      await drop(name);
      await waitForText(tab.page, '[role=alert]', pattern);
    }
    await drop('search.db');
    await waitForText(tab.page, '.status', /^second: 30 trials/);
    expect(tab.errors).toEqual([]);
  });
});
