// The kernels in headless Chromium: threads where the page is cross-origin isolated, one thread where it is not.
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { describeBrowser } from '@hip/testing';

const entry = join(import.meta.dirname, 'fixtures/page.ts');

describeBrowser('kernels in a browser', (open) => {
  it.each([
    ['threads in a cross-origin isolated page', true, 3, 3],
    ['one thread without shared memory', false, 3, 1],
    ['one thread where asked', true, 1, 1],
  ])('%s', async (_, isolated, asked, threads) => {
    await using tab = await open({ entry, isolated });
    const report = (await tab.page.evaluate(`check(${asked})`)) as Record<string, unknown>;
    expect(report).toMatchObject({ isolated, threads, simd: 'relaxed', masksEqual: true, progress: 1 });
    for (const deviation of report['deviations'] as number[]) expect(deviation).toBeLessThan(1e-4);
    expect(tab.errors).toEqual([]);
  });
});
