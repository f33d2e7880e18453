// What the page Smaller model makes of a text with the settings that it opens with: the loss on what was kept back, before and after, and of a sub-network.
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestPage } from '@hip/testing/browser';
import { fill, openIsolated, pick, press, status } from './page.ts';

type Row = Record<string, unknown>;

const GUIDES = join(import.meta.dirname, '../../../docs/guide');

/** The bundled book, of a kind that the model knows, and this project's guides, of one that it does not. */
export async function learnRows({ page, url }: TestPage, quick: boolean, log: (line: string) => void): Promise<Row[]> {
  const folder = mkdtempSync(join(tmpdir(), 'learn-'));
  const guides = join(folder, 'guides.txt');
  const pages = readdirSync(GUIDES)
    .filter((name) => name.endsWith('.md'))
    .sort();
  writeFileSync(guides, pages.map((name) => readFileSync(join(GUIDES, name), 'utf8')).join('\n'));
  const rows: Row[] = [];
  try {
    for (const text of ['the first chapters of Moby-Dick', 'the guides of these docs']) {
      log(`learn: ${text}`);
      await openIsolated(page, `${url}/smaller/`);
      await page.select('select[name=backend]', 'wasm');
      await press(page, 'button[name=load]');
      await status(page, /^llama: 6 layers/);
      if (text.includes('Moby')) await press(page, 'button[name=book]');
      else await pick(page, 'input[type=file][name=text]', guides);
      await status(page, /characters/);
      if (quick) await fill(page, 'steps', 2);
      const values = await Promise.all(
        ['steps', 'batch', 'tokens'].map((name) =>
          page.$eval(`input[name=${name}]`, (input) => Number((input as unknown as { value: string }).value)),
        ),
      );
      const [steps, windows, tokens] = values as [number, number, number];
      const start = performance.now();
      await press(page, 'button[name=train]');
      await status(page, /^Loss on text/, 30);
      const seconds = (performance.now() - start) / 1000;
      const said = await page.$$eval('.status', (all) => all.map(({ textContent }) => textContent ?? ''));
      const [before, after] = losses(said.find((line) => line.startsWith('Loss on text')) ?? '');
      await fill(page, 'evaluations', quick ? 4 : 12);
      await press(page, 'button[name=search]');
      await status(page, /are on the front/, 30);
      await page.evaluate(`[...document.querySelectorAll('svg.front circle.best')]
        .toSorted((a, b) => a.cx.baseVal.value - b.cx.baseVal.value)[0]
        .dispatchEvent(new MouseEvent('click', { bubbles: true, cancelable: true }))`);
      await page.waitForSelector('[data-chosen]');
      const chosen = await page.$$eval('[data-chosen] dd', (all) => all.map(({ textContent }) => textContent ?? ''));
      rows.push({
        page: '/smaller',
        model: 'books-lm-6m',
        text,
        steps,
        windows,
        tokens,
        seconds: Math.round(10 * seconds) / 10,
        lossBefore: before,
        lossAfter: after,
        fastestOfFront: { latency: chosen[0], loss: losses(chosen[1] ?? '')[0], macs: chosen[2] },
      });
    }
    return rows;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const losses = (text: string): number[] => (text.match(/\d+\.\d+/g) ?? []).map(Number);
