// The package in headless Chromium, bundled by esbuild (which refuses Node's modules) and by rolldown (vite's).
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { describeBrowser } from '@hip/testing';

const entry = join(import.meta.dirname, 'fixtures/page.ts');

interface Report {
  readonly exports: number;
  readonly trials: readonly string[];
  readonly front: number;
  readonly report: string;
  readonly refused: Readonly<Record<string, readonly [code: string, message: string]>>;
}

describeBrowser('search in a browser', (open) => {
  it.each(['esbuild', 'rolldown'] as const)('bundled by %s', async (bundler) => {
    await using tab = await open({ entry, bundler });
    expect(tab.errors).toEqual([]);
    await tab.page.waitForFunction('typeof check === "function"'); // the report's packages load after the page
    const report = (await tab.page.evaluate('check()')) as Report;
    expect(report.exports).toBeGreaterThan(25);
    expect(report.report).toBe('<!doctype html>');
    expect(new Set(report.trials).size).toBe(24);
    expect(report.front).toBeGreaterThan(2);
    for (const [what, [code, message]] of Object.entries(report.refused)) {
      expect([what, code]).toEqual([what, 'invalid-option']);
      expect(message).toMatch(/x\.db.*needs? Node.*(leave `study` out|Study)/s);
    }
    expect(tab.errors).toEqual([]);
  });
});
