// describeBrowser: a vitest suite that runs in headless Chromium with WebGPU, skipped with the reason where none can start.
import { afterAll, beforeAll, describe } from 'vitest';
import { unsupportedPlatform } from '../archive.ts';
import { openBrowser, type OpenedBrowser, type PageOptions, type TestPage } from './open-browser.ts';

/**
 * A suite whose tests run in a browser. Chromium starts before the first test; one that should start here and does not
 * fails the suite.
 *
 * @param body - declares the tests; `open` serves and loads a page
 * @example
 * ```ts
 * describeBrowser('threads', (open) => {
 *   it('can share memory', async () => {
 *     await using tab = await open({});
 *     expect(await tab.page.evaluate('crossOriginIsolated')).toBe(true);
 *   });
 * });
 * ```
 */
export function describeBrowser(
  name: string,
  body: (open: (options?: PageOptions) => Promise<TestPage>) => void,
): void {
  const reason = unsupportedPlatform();
  let browser: OpenedBrowser | undefined;
  const open = (options?: PageOptions) => {
    if (!browser) throw new Error('open a page inside a test or hook, not while tests are collected');
    return browser.page(options);
  };
  if (reason) {
    describe.skip(`${name} (WebGPU browser skipped: ${reason})`, () => body(open));
    return;
  }
  describe(name, () => {
    beforeAll(async () => {
      const opened = await openBrowser();
      if (opened.kind === 'none') throw new Error(opened.reason);
      browser = opened;
    });
    afterAll(() => browser?.[Symbol.asyncDispose]());
    body(open);
  });
}
