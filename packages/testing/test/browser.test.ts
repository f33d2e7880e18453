// The launched browser: isolated page, threads over shared memory, WebGPU, TypeScript bundled on the way.
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { describeBrowser } from '@hip/testing';

const ENTRY = join(import.meta.dirname, 'fixtures/page.ts');

describeBrowser('browser launcher', (open) => {
  it.each(['rolldown', 'esbuild'] as const)('runs threads over shared memory (bundled by %s)', async (bundler) => {
    await using tab = await open({ entry: ENTRY, bundler });
    expect(await tab.page.evaluate('crossOriginIsolated')).toBe(true);
    expect(await tab.page.evaluate('countOnThreads(2)')).toBe(2000);
    expect(tab.errors).toEqual([]);
  });

  it('runs a WebGPU shader', async () => {
    await using tab = await open({ entry: ENTRY });
    expect(await tab.page.evaluate('double([1, 2, 3.5])')).toEqual([2, 4, 7]);
    expect(tab.errors).toEqual([]);
  });

  it('serves files from memory and from a folder, and reports what is missing', async () => {
    await using tab = await open({
      root: import.meta.dirname,
      files: { '/': '<p>hello</p><script src="/absent.js"></script>' },
    });
    expect(await tab.page.evaluate('document.querySelector("p").textContent')).toBe('hello');
    expect(await tab.page.evaluate('fetch("/browser.test.ts").then((file) => file.text())')).toContain(
      'browser launcher',
    );
    expect(await tab.page.evaluate('fetch("/../package.json").then((file) => file.status)')).toBe(404);
    expect(tab.errors.join()).toContain('404');
  });

  it('can be not isolated', async () => {
    await using tab = await open({ isolated: false });
    expect(await tab.page.evaluate('crossOriginIsolated')).toBe(false);
  });
});
