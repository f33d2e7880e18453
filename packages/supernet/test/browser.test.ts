// The package in headless Chromium, bundled by esbuild (which refuses Node's modules) and by rolldown (vite's).
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { describeBrowser } from '@hip/testing';

const entry = join(import.meta.dirname, 'fixtures/page.ts');

interface Report {
  readonly exports: readonly number[];
  readonly layers: number;
  readonly device: boolean;
  readonly texts: unknown;
  readonly refused: Readonly<Record<string, readonly [code: string, message: string]>>;
}

describeBrowser('supernet in a browser', (open) => {
  it.each(['esbuild', 'rolldown'] as const)('bundled by %s', async (bundler) => {
    await using tab = await open({ entry, bundler });
    expect(tab.errors).toEqual([]);
    const report = (await tab.page.evaluate('check()')) as Report;
    expect(report.exports[0]).toBeGreaterThan(60);
    expect(report.exports[1]).toBeGreaterThan(10);
    expect(report).toMatchObject({ layers: 2, device: true });
    const rows = [
      { text: 'a "fine" day', label: 1 },
      { text: 'no', label: 0 },
    ];
    expect(report.texts).toEqual({
      whole: rows,
      pieces: rows,
      csv: [{ text: 'a, "b"\nc', label: 1 }],
      early: { seen: 50, closed: true, ahead: false },
      aborted: ['aborted', 'reading the table was aborted'],
      badQuote: ['invalid-data', expect.stringMatching(/Quote Not Closed.*line 2/)],
      badLabel: ['invalid-data', expect.stringMatching(/^line 2: label "good"/)],
    });
    for (const [what, [code, message]] of Object.entries(report.refused)) {
      expect([what, code]).toEqual([what, 'unsupported']);
      expect(message).toMatch(what === 'hub' ? /hubFiles\(.*hub/ : /needs? Node/);
    }
    expect(tab.errors).toEqual([]);
  });
});
