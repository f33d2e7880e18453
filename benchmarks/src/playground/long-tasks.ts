// Each page at its work: the longest tasks of its main thread while a worker computes, and while what came of it is drawn.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bertSynth, runSearch } from '@instatune/search';
import type { TestPage } from '@hip/testing/browser';
import { mainThreadTasks } from './main-thread.ts';
import { fill, openIsolated, pick, press, status, type Page } from './page.ts';

type Row = Record<string, unknown>;

/** Of a task on the main thread, milliseconds (W3C Long Tasks). */
const LONG_TASK = 50;

interface Work {
  readonly path: string;
  readonly what: string;
  readonly run: (page: Page) => Promise<void>;
}

/** @param tokens - of the text @param trials - of the study @param pages - some of them. @defaultValue all */
export async function longTaskRows(
  open: () => Promise<TestPage>,
  {
    tokens,
    trials,
    pages,
  }: { readonly tokens: number; readonly trials: number; readonly pages?: readonly string[] | undefined },
  log: (line: string) => void,
): Promise<Row[]> {
  const folder = mkdtempSync(join(tmpdir(), 'study-'));
  const study = join(folder, 'study.db');
  const options = { tactic: 'random', evaluations: trials, population: Math.min(1000, trials), seed: 2 } as const;
  try {
    await runSearch(bertSynth(), { ...options, study });
    const rows: Row[] = [];
    for (const { path, what, run } of works(tokens, study, trials)) {
      if (pages && !pages.includes(path)) continue;
      log(`${path}: ${what}`);
      await using tab = await open();
      const { page, url } = tab;
      await openIsolated(page, `${url}${path}/`);
      await page.evaluate(`globalThis.long = [];
        new PerformanceObserver((list) => long.push(...list.getEntries().map(({ duration }) => duration))).observe({ type: 'longtask' })`);
      const [longest] = await mainThreadTasks(page, 5, () => run(page));
      const long = (await page.evaluate('long')) as number[];
      rows.push({
        page: path,
        what,
        longTaskMs: LONG_TASK,
        // By the clock: on a busy machine most of it is waiting for a processor.
        longTasks: long.length,
        longestMs: Math.max(0, ...long),
        longestCpuMs: Math.round(10 * (longest?.cpuMs ?? 0)) / 10,
        longestStack: longest?.stack ?? '',
        longestParts: longest?.parts ?? '',
      });
    }
    return rows;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const works = (tokens: number, study: string, trials: number): readonly Work[] => [
  {
    path: '/document',
    what: `books-lm-6m reads ${tokens} tokens in both ways`,
    async run(page) {
      await page.select('select[name=backend]', 'wasm');
      await page.select('select[name=tokens]', String(tokens));
      await press(page, 'button[name=load]');
      await status(page, /^llama: 6 layers/);
      await press(page, 'button[name=book]');
      await status(page, /characters/);
      await press(page, 'button[name=read]');
      await status(page, /^HiP read/, 30);
    },
  },
  {
    path: '/smaller',
    what: 'books-lm-6m learns, is searched, and saved as ONNX',
    async run(page) {
      await page.select('select[name=backend]', 'wasm');
      await press(page, 'button[name=load]');
      await status(page, /^llama: 6 layers/);
      await press(page, 'button[name=book]');
      await status(page, /characters/);
      for (const [name, value] of Object.entries({ steps: 20, batch: 1, tokens: 16, evaluations: 8 }))
        await fill(page, name, value);
      await press(page, 'button[name=train]');
      await status(page, /^Loss on text/, 30);
      await press(page, 'button[name=search]');
      await status(page, /are on the front/, 30);
      await press(page, 'svg.front circle.best');
      await press(page, 'button[name=save-onnx]');
      await page.waitForFunction('!document.querySelector("button[name=save-onnx]").disabled', { timeout: 300_000 });
    },
  },
  {
    path: '/studies',
    what: `a study of ${trials} trials, drawn and explained`,
    async run(page) {
      await pick(page, 'input[name=study]', study);
      await page.waitForSelector('instatune-study .importance svg', { timeout: 300_000 });
      // Parallel coordinates are drawn again by importance.
      await new Promise((resolve) => setTimeout(resolve, 1000));
    },
  },
  {
    path: '/measure',
    what: 'ours and the peers on WebAssembly, the shortest lengths',
    async run(page) {
      await page.select('select[name=devices]', 'wasm');
      for (const [name, value] of Object.entries({ prefill: '256', decode: '512', runs: '2' }))
        await fill(page, name, value);
      await press(page, 'button[name=measure]');
      await status(page, /^Measured/, 30);
    },
  },
];
