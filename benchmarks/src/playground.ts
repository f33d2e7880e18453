// The playground's pages in headless Chromium: Lighthouse's scores, the main thread while a worker computes, memory, a book of 8K tokens.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { env } from 'node:process';
import { build } from 'vite';
import { playgroundConfig } from '@hip/playground/build';
import { openBrowser, type TestPage } from '@hip/testing/browser';
import type { Benchmark } from './benchmark.ts';
import { bookRows } from './playground/book.ts';
import { lighthouseRows } from './playground/lighthouse.ts';
import { longTaskRows } from './playground/long-tasks.ts';
import { memoryRows } from './playground/memory.ts';

const PARTS = ['lighthouse', 'tasks', 'memory', 'book'];

/** `HIP_PLAYGROUND_PARTS` takes some of the parts, e.g. `tasks,memory`. */
export const benchmark: Benchmark = {
  name: 'playground',
  description: 'the playground’s pages: Lighthouse, tasks of the main thread, memory left behind, a book of 8K tokens',
  async run({ quick, log }) {
    const parts = (env['HIP_PLAYGROUND_PARTS'] ?? PARTS.join()).split(',');
    const folder = mkdtempSync(join(tmpdir(), 'playground-'));
    await build(playgroundConfig(folder));
    const browser = await openBrowser();
    if (browser.kind === 'none') throw new Error(browser.reason);
    // A static server that sends no special headers.
    const open = (): Promise<TestPage> => browser.page({ root: folder, isolated: false });
    const measure: Readonly<Record<string, () => Promise<Record<string, unknown>[]>>> = {
      lighthouse: () => lighthouseRows(browser, folder, log),
      tasks: () => longTaskRows(open, quick ? { tokens: 1024, trials: 1000 } : { tokens: 4096, trials: 10_000 }, log),
      memory: async () => [
        ...(await memoryRows(browser, folder, { backend: 'wasm', tokens: quick ? 1024 : 4096, reads: true }, log)),
        ...(await memoryRows(browser, folder, { backend: 'webgpu', tokens: 4096, reads: false }, log)),
      ],
      book: async () => {
        await using tab = await open();
        return bookRows(tab, quick ? 1024 : 8192, log);
      },
    };
    try {
      const rows: Record<string, unknown>[] = [];
      for (const part of parts) {
        if (!measure[part]) throw new Error(`no part "${part}": HIP_PLAYGROUND_PARTS takes ${PARTS.join(', ')}`);
        for (const row of await measure[part]()) rows.push({ part, ...row });
      }
      return { rows };
    } finally {
      await browser[Symbol.asyncDispose]();
      rmSync(folder, { recursive: true, force: true });
    }
  },
};
