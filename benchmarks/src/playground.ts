// The playground's pages in headless Chromium: Lighthouse's scores, the main thread while a worker computes, memory, what a model learns, a book of 8K tokens.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { env } from 'node:process';
import { build } from 'vite';
import { playgroundConfig } from '@hip/playground/build';
import { openBrowser, type TestPage } from '@hip/testing/browser';
import type { Benchmark } from './benchmark.ts';
import { bookRows, passKeyRows } from './playground/book.ts';
import { learnRows } from './playground/learn.ts';
import { lighthouseRows } from './playground/lighthouse.ts';
import { longTaskRows } from './playground/long-tasks.ts';
import { memoryRows } from './playground/memory.ts';

const PARTS = ['lighthouse', 'tasks', 'memory', 'learn', 'book', 'pass-key'];
/** Percent of the text before a pass-key. */
const DEPTHS = [10, 30, 50, 70, 90];

type Row = Record<string, unknown>;

/**
 * `HIP_PLAYGROUND_PARTS` takes some of the parts, e.g. `tasks,memory`, `HIP_PLAYGROUND_PAGES` some of the pages of tasks, e.g. `/studies`,
 * `HIP_PLAYGROUND_DEPTHS` the depths of pass-keys in percent, e.g. `30,50`;
 * `HIP_PLAYGROUND_KEEP` names a file of results from which the rows of the others come. Each row says when it was measured and what the
 * machine's load was then.
 */
export const benchmark: Benchmark = {
  name: 'playground',
  description:
    'the playground’s pages: Lighthouse, tasks of the main thread, memory left behind, what a model learns, a book of 8K tokens',
  async run({ quick, log }) {
    const parts = (env['HIP_PLAYGROUND_PARTS'] ?? PARTS.join()).split(',');
    const folder = mkdtempSync(join(tmpdir(), 'playground-'));
    await build(playgroundConfig(folder));
    const browser = await openBrowser();
    if (browser.kind === 'none') throw new Error(browser.reason);
    const pages = { pages: env['HIP_PLAYGROUND_PAGES']?.split(',') };
    // A static server that sends no special headers.
    const open = (): Promise<TestPage> => browser.page({ root: folder, isolated: false });
    const measure: Readonly<Record<string, () => Promise<Row[]>>> = {
      lighthouse: () => lighthouseRows(browser, folder, log),
      tasks: () =>
        longTaskRows(
          open,
          quick ? { ...pages, tokens: 1024, trials: 1000 } : { ...pages, tokens: 4096, trials: 10_000 },
          log,
        ),
      memory: async () => [
        ...(await memoryRows(browser, folder, { backend: 'wasm', tokens: quick ? 1024 : 4096, reads: true }, log)),
        ...(await memoryRows(browser, folder, { backend: 'webgpu', tokens: 4096, reads: false }, log)),
      ],
      learn: async () => {
        await using tab = await open();
        return await learnRows(tab, quick, log);
      },
      book: async () => {
        await using tab = await open();
        return await bookRows(tab, quick ? 1024 : 8192, log);
      },
      'pass-key': async () => {
        await using tab = await open();
        const depths = env['HIP_PLAYGROUND_DEPTHS']?.split(',').map(Number) ?? (quick ? [50] : DEPTHS);
        return await passKeyRows(tab, quick ? 1024 : 8192, depths, log);
      },
    };
    try {
      const rows: Row[] = [];
      for (const part of parts) {
        if (!measure[part]) throw new Error(`no part "${part}": HIP_PLAYGROUND_PARTS takes ${PARTS.join(', ')}`);
        const when = { measured: new Date().toISOString().slice(0, 16), load: Math.round(10 * loadavg()[0]!) / 10 };
        for (const row of await measure[part]()) rows.push({ part, ...row, ...when });
      }
      rows.unshift(...keptRows(rows));
      return { rows: rows.toSorted((a, b) => PARTS.indexOf(String(a['part'])) - PARTS.indexOf(String(b['part']))) };
    } finally {
      await browser[Symbol.asyncDispose]();
      rmSync(folder, { recursive: true, force: true });
    }
  },
};

/** Rows of parts and pages that are not measured now. */
function keptRows(measured: readonly Row[]): Row[] {
  const file = env['HIP_PLAYGROUND_KEEP'];
  if (!file) return [];
  const { rows } = JSON.parse(readFileSync(resolve(env['INIT_CWD'] ?? '.', file), 'utf8')) as { rows: Row[] };
  const key = ({ part, page }: Row): string => `${String(part)} ${String(page)}`;
  const now = new Set(measured.map(key));
  return rows.filter((row) => !now.has(key(row)));
}
