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

  it('shows a study in its element: drawn, explained, chosen by the pointer, no wider than a phone', async () => {
    await using tab = await open({ entry });
    await tab.page.setViewport({ width: 360, height: 800 });
    await tab.page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: 'dark' }]);
    await tab.page.waitForFunction('typeof show === "function"');
    await tab.page.evaluate('show()');
    await tab.page.waitForSelector('instatune-study .importance svg');
    const text = await tab.page.$eval('instatune-study header', (header) => header.textContent);
    expect(text).toContain('80 measured');
    expect(await tab.page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(360);
    const ground = '.instatune-study';
    expect(await tab.page.$eval(ground, (node) => getComputedStyle(node).backgroundColor)).toBe('rgb(20, 25, 31)');
    // The pointer over a point of the front names the nearest trial, a click chooses it.
    // By events in the page: a point that moves while the page is laid out takes none of the mouse's.
    await tab.page.evaluate(`(() => {
      const point = [...document.querySelectorAll('instatune-study .front svg circle')].at(-1);
      const { x, y, width, height } = point.getBoundingClientRect();
      const place = { bubbles: true, pointerType: 'mouse', clientX: x + width / 2, clientY: y + height / 2 };
      for (const type of ['pointerenter', 'pointermove', 'pointerdown', 'click'])
        point.dispatchEvent(new PointerEvent(type, place));
    })()`);
    await tab.page.waitForSelector('instatune-study input[aria-label^="compare trial"]:checked');
    // By the keyboard: a click right behind the scrolling of a table inside the page is pressed on one element and let go on another.
    await tab.page.focus('instatune-study .table tbody tr:last-child input');
    await tab.page.keyboard.press('Space');
    await tab.page.waitForSelector('instatune-study .compare tbody tr');
    // The keyboard is where it was, on a box that is still there; by a heading, and by an update, the table is made anew around it.
    const focused = 'document.activeElement.getAttribute("data-place")';
    expect(await tab.page.evaluate(`${focused} + document.activeElement.checked`)).toMatch(/^compare trial \d+true$/);
    await tab.page.focus('instatune-study .table th:nth-child(2) button');
    await tab.page.keyboard.press('Enter');
    await tab.page.waitForSelector('instatune-study .table th[aria-sort=descending]');
    expect(await tab.page.evaluate(focused)).toBe('column trial');
    if (process.env['HIP_PICTURES']) await tab.page.screenshot({ path: process.env['HIP_PICTURES'], fullPage: true });
    expect(tab.errors).toEqual([]);
  });
});
