// The playground's pages in headless Chromium: Lighthouse's scores, and tasks over 50 ms on the main thread while a worker reads a text.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'vite';
import { PAGES, playgroundConfig } from '@hip/playground/build';
import { openBrowser, serve, type OpenedBrowser } from '@hip/testing/browser';
import type { Benchmark } from './benchmark.ts';

/** Of a task on the main thread, milliseconds (W3C Long Tasks). */
const LONG_TASK = 50;
const CATEGORIES = ['accessibility', 'best-practices'];

export const benchmark: Benchmark = {
  name: 'playground',
  description: 'the playground’s pages: Lighthouse’s scores, long tasks of the main thread while a worker computes',
  async run({ quick, log }) {
    const folder = mkdtempSync(join(tmpdir(), 'playground-'));
    await build(playgroundConfig(folder));
    const browser = await openBrowser();
    if (browser.kind === 'none') throw new Error(browser.reason);
    try {
      const scores = await lighthouseRows(browser, folder, log);
      log('a text is read');
      return { rows: [...scores, await longTasks(browser, folder, quick ? 1024 : 4096)] };
    } finally {
      await browser[Symbol.asyncDispose]();
      rmSync(folder, { recursive: true, force: true });
    }
  },
};

async function lighthouseRows(
  browser: OpenedBrowser,
  folder: string,
  log: (line: string) => void,
): Promise<Record<string, unknown>[]> {
  const { default: lighthouse } = await import('lighthouse');
  const port = Number(new URL(browser.browser.wsEndpoint()).port);
  // Isolated by headers: the service worker would load each page twice under the audit.
  await using server = await serve({ root: folder });
  const rows: Record<string, unknown>[] = [];
  for (const { path } of PAGES) {
    log(`Lighthouse: /${path}`);
    const url = `${server.url}/${path === '' ? '' : `${path}/`}`;
    const result = await lighthouse(url, { port, onlyCategories: CATEGORIES, output: 'json', logLevel: 'error' });
    const { categories = {}, audits = {} } = result?.lhr ?? {};
    const missed = Object.values(audits).filter(({ score }) => score !== null && score < 1);
    rows.push({
      page: `/${path}`,
      ...Object.fromEntries(CATEGORIES.map((name) => [name, Math.round(100 * (categories[name]?.score ?? 0))])),
      missed: missed.map(({ id }) => id),
    });
  }
  return rows;
}

/** The bundled model reads the bundled book in a worker, both ways, while the page draws what it tells. */
async function longTasks(browser: OpenedBrowser, root: string, tokens: number): Promise<Record<string, unknown>> {
  await using tab = await browser.page({ root });
  const { page } = tab;
  await page.goto(`${tab.url}/document/`, { waitUntil: 'load' });
  const status = `[...document.querySelectorAll('.status')].map(({ textContent }) => textContent)`;
  const until = async (pattern: RegExp): Promise<void> => {
    while (!(await page.evaluate(`${status}.some((text) => ${pattern}.test(text))`)))
      await new Promise((resolve) => setTimeout(resolve, 200));
  };
  const press = (name: string): Promise<unknown> =>
    page.evaluate(`document.querySelector('button[name=${name}]').click()`);
  await page.select('select[name=backend]', 'wasm');
  await page.select('select[name=tokens]', String(tokens));
  await press('load');
  await until(/^llama: 6 layers/);
  await press('book');
  await new Promise((resolve) => setTimeout(resolve, 1000));
  await page.evaluate(`globalThis.long = [];
    new PerformanceObserver((list) => long.push(...list.getEntries().map(({ duration }) => duration))).observe({ type: 'longtask' })`);
  await press('read');
  await until(/^HiP read/);
  const durations = (await page.evaluate('long')) as number[];
  return {
    page: '/document',
    tokens,
    longTaskMs: LONG_TASK,
    longTasks: durations.length,
    longestMs: Math.max(0, ...durations),
  };
}
