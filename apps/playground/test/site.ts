// The site as it is published, and what tests do with its pages.
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'vite';
import { inject } from 'vitest';
import type { TestPage } from '@hip/testing/browser';
import { playgroundConfig } from '../build/config.ts';

export type Page = TestPage['page'];

/** Where pictures of the pages go: beside the other outputs of tests. */
export const PICTURES = join(import.meta.dirname, '../coverage/pictures');

/** The site's folder; it is built once a run (test/site-folder.ts). */
export async function builtSite(): Promise<string> {
  const folder = inject('siteFolder');
  if (!existsSync(join(folder, 'index.html'))) await build(playgroundConfig(folder));
  return folder;
}

/** A picture of the whole page, light and dark. */
export async function picture(page: Page, name: string, width = 1000): Promise<void> {
  mkdirSync(PICTURES, { recursive: true });
  await page.setViewport({ width, height: 800 });
  // As high as the page: what is out of sight may not be drawn.
  const height = Number(await page.evaluate('document.documentElement.scrollHeight'));
  await page.setViewport({ width, height: Math.min(height, 8000) });
  for (const scheme of ['light', 'dark'] as const) {
    await page.emulateMediaFeatures([
      { name: 'prefers-color-scheme', value: scheme },
      // Or a picture may be one of colours on their way.
      { name: 'prefers-reduced-motion', value: 'reduce' },
    ]);
    // A page that has just been laid out anew is drawn by parts.
    await page.evaluate('new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))');
    await page.screenshot({ path: join(PICTURES, `${name}-${scheme}.png`), fullPage: true });
  }
  await page.emulateMediaFeatures([]);
  await page.setViewport({ width: 1000, height: 800 });
}

/** By how many pixels the page is wider than a phone. */
export async function wide(page: Page): Promise<number> {
  await page.setViewport({ width: 360, height: 740 });
  const width = Number(await page.evaluate('document.documentElement.scrollWidth'));
  await page.setViewport({ width: 1000, height: 800 });
  return width - 360;
}

/** Opens a page, and waits until the service worker has isolated it, which loads it a second time. */
export async function openIsolated(page: Page, url: string): Promise<void> {
  await page.goto(url, { waitUntil: 'load' });
  await page.waitForFunction('globalThis.crossOriginIsolated && document.readyState === "complete"', {
    timeout: 60_000,
  });
}

export const text = (page: Page, selector: string): Promise<string> =>
  page.$eval(selector, (element) => element.textContent ?? '');

/** Clicks by the element itself: a page that grows under the pointer takes no click away. */
export const press = (page: Page, selector: string): Promise<void> =>
  page.$eval(selector, (element) => (element as unknown as { click(): void }).click());

/**
 * Waits until the text of an element matches, and gives it.
 *
 * @throws with what the page shows, where it does not come
 */
export async function waitForText(page: Page, selector: string, pattern: RegExp, seconds = 500): Promise<string> {
  const look = `(() => {
    const texts = (where) => [...document.querySelectorAll(where)].map(({ textContent }) => textContent);
    return { found: texts(${JSON.stringify(selector)}), alerts: texts('[role=alert] .failure') };
  })()`;
  for (const end = Date.now() + 1000 * seconds; ;) {
    const { found, alerts } = (await page.evaluate(look)) as { found: string[]; alerts: string[] };
    const text = found.find((one) => pattern.test(one));
    if (text !== undefined) return text;
    if (Date.now() > end) {
      throw new Error(`${selector} never matched ${pattern}: ${JSON.stringify({ found, alerts })}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
