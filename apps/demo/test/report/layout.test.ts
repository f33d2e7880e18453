// The report as a browser lays it out: on a wide page and on a phone, light and dark, nothing is cut off and no words collide.
import { describeBrowser } from '@hip/testing';
import { expect, it } from 'vitest';
import { renderReport } from '../../src/report/html.ts';
import { row, sampleMask, sampleResult } from './sample.ts';

/** As crowded as a full run: four lengths, many sub-networks, long names. */
const crowded = {
  ...sampleResult,
  longContext: [4096, 8192, 16_384, 32_768].map(row),
  search: {
    ...sampleResult.search,
    trials: Array.from({ length: 40 }, (_, i) => ({ latencyMs: 20 + 2 * i, macs: 1e9, loss: 3 + (i % 9) / 7 })),
  },
  environment: { ...sampleResult.environment, document: `${'a-name-of-a-file-without-an-end'.repeat(4)}.txt` },
};

/** Runs in the page. Boxes that stick out of it, scroll or clip; and words of one picture that lie on each other. */
function inspect(): { readonly outside: string[]; readonly overlaps: string[] } {
  const width = document.documentElement.clientWidth;
  const describe = (element: Element): string =>
    `${element.tagName} ${element.className} "${(element.textContent ?? '').slice(0, 30)}"`;
  const outside = [...document.querySelectorAll('body, body *')]
    .filter((element) => !element.closest('svg') || element.matches('svg, svg text'))
    .filter((element) => {
      const { left, right } = element.getBoundingClientRect();
      const isCut =
        element instanceof HTMLElement &&
        getComputedStyle(element).display !== 'inline' &&
        element.scrollWidth > element.clientWidth + 1;
      return right > width + 1 || left < -1 || isCut;
    })
    .map(describe);
  const overlaps: string[] = [];
  for (const svg of document.querySelectorAll('svg')) {
    const frame = svg.getBoundingClientRect();
    const words = [...svg.querySelectorAll('text')]
      .map((text) => ({ text: text.textContent ?? '', box: text.getBoundingClientRect() }))
      .filter(({ box }) => box.width > 0);
    for (const [i, { text, box }] of words.entries()) {
      if (
        box.left < frame.left - 1 ||
        box.right > frame.right + 1 ||
        box.top < frame.top - 1 ||
        box.bottom > frame.bottom + 1
      )
        outside.push(`in a picture: ${text}`);
      for (const other of words.slice(i + 1)) {
        const isApart =
          box.right <= other.box.left ||
          other.box.right <= box.left ||
          box.bottom <= other.box.top ||
          other.box.bottom <= box.top;
        if (!isApart) overlaps.push(`${text} / ${other.text}`);
      }
    }
  }
  return { outside, overlaps };
}

describeBrowser('the report in a browser', (open) => {
  it.each([
    [1200, 'light'],
    [400, 'light'],
    [400, 'dark'],
  ] as const)('at %i pixels, %s, cuts nothing off and keeps words apart', async (width, scheme) => {
    await using tab = await open({ files: { '/': renderReport(crowded, sampleMask) } });
    const { page } = tab;
    await page.setViewport({ width, height: 900 });
    await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: scheme }]);
    expect(await page.evaluate(inspect)).toEqual({ outside: [], overlaps: [] });
    const columns = await page.evaluate(
      () =>
        new Set(
          [...document.querySelectorAll('figure')].map((figure) => Math.round(figure.getBoundingClientRect().left)),
        ).size,
    );
    expect(columns).toBe(width === 400 ? 1 : 2);
    // The words are as far from the ground as dark on light, or light on dark.
    const [ink, paper] = await page.evaluate(() => {
      const { color, backgroundColor } = getComputedStyle(document.body);
      return [color, backgroundColor].map((text) => Math.max(...(text.match(/\d+/g) ?? []).map(Number)));
    });
    expect(ink! - paper! > 100).toBe(scheme === 'dark');
    expect(tab.errors).toEqual([]);
  });

  it('is printed on light paper without anything cut off', async () => {
    await using tab = await open({ files: { '/': renderReport(crowded, sampleMask) } });
    const { page } = tab;
    await page.setViewport({ width: 680, height: 900 });
    // Puppeteer's own calls forget each other's.
    const session = await page.createCDPSession();
    const features = [{ name: 'prefers-color-scheme', value: 'dark' }];
    await session.send('Emulation.setEmulatedMedia', { media: 'print', features });
    expect(await page.evaluate(inspect)).toEqual({ outside: [], overlaps: [] });
    expect(await page.evaluate(() => getComputedStyle(document.body).backgroundColor)).toBe('rgb(255, 255, 255)');
  });

  it('notices what is cut off and what collides', async () => {
    const bad =
      '<div style="width:3000px">wide</div><svg width="90" height="40"><text y="20">one</text><text y="22">two</text></svg>';
    await using tab = await open({ files: { '/': `<!doctype html><link rel="icon" href="data:,"><body>${bad}` } });
    await tab.page.setViewport({ width: 400, height: 900 });
    const { outside, overlaps } = await tab.page.evaluate(inspect);
    expect(outside.join()).toContain('wide');
    expect(overlaps).toEqual(['one / two']);
  });
});
