// The page of studies in headless Chromium: SQLite read in the page, of this project and of Optuna, JSON, what is no study, exports.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeBrowser } from '@hip/testing';
import type { TestPage } from '@hip/testing/browser';
import { builtSite, openIsolated, picture, press, text, waitForText, wide } from '../site.ts';
import { studyFiles, type StudyFiles } from './files.ts';

describeBrowser('studies', (open) => {
  let files: StudyFiles;
  let tab: TestPage;
  beforeAll(async () => {
    files = await studyFiles();
    tab = await open({ root: await builtSite(), isolated: false });
    await openIsolated(tab.page, `${tab.url}/studies/`);
  });
  afterAll(async () => {
    await tab?.[Symbol.asyncDispose]();
    files?.[Symbol.dispose]();
  });
  const drop = async (...names: readonly string[]): Promise<void> => {
    const input = await tab.page.$('input[name=study]');
    await (input as unknown as { uploadFile(...paths: readonly string[]): Promise<void> }).uploadFile(
      ...names.map((name) => join(files.folder, name)),
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
    for (const [name, content] of Object.entries(bad)) writeFileSync(join(files.folder, name), content);
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
