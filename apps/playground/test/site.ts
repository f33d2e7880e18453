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

/** `Math.random` from a seed, the same at each load, so that no test depends on what a page draws; `reseed` begins anew. Mulberry32. */
const SEEDED = `globalThis.reseed = (seed) => {
  let state = seed;
  Math.random = () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
};
reseed(1);`;

/** Waits until the service worker has isolated the page, which loads it a second time. */
export const untilIsolated = (page: Page): Promise<unknown> =>
  page.waitForFunction('globalThis.crossOriginIsolated && document.readyState === "complete"');

/** Opens a page, isolated, with seeded random numbers. */
export async function openIsolated(page: Page, url: string): Promise<void> {
  await page.evaluateOnNewDocument(SEEDED);
  // The second load of the page before must be over: the two would cancel each other.
  await untilIsolated(page);
  await page.goto(url, { waitUntil: 'load' });
  await untilIsolated(page);
}

/** Draws from the page's random numbers begin anew. */
export const reseed = (page: Page, seed: number): Promise<unknown> => page.evaluate(`reseed(${seed})`);

export const text = (page: Page, selector: string): Promise<string> =>
  page.$eval(selector, (element) => element.textContent ?? '');

/** Clicks by the element itself: a page that grows under the pointer takes no click away. */
export const press = (page: Page, selector: string): Promise<void> =>
  page.$eval(selector, (element) => (element as unknown as { click(): void }).click());

/**
 * Presses a button as soon as the text of an element matches, after `begin`. The page itself waits: what it shows for a moment only is not
 * missed, however seldom this process runs.
 *
 * @throws with what the page shows, where it does not come
 */
export async function pressWhen(
  page: Page,
  button: string,
  [selector, pattern]: readonly [selector: string, pattern: RegExp],
  begin: () => Promise<unknown>,
): Promise<void> {
  await page.evaluate(`void (globalThis.pressed = new Promise((resolve, reject) => {
    const texts = () => [...document.querySelectorAll(${JSON.stringify(selector)})].map(({ textContent }) => textContent);
    const never = () => reject(new Error(${JSON.stringify(selector)} + ' never matched: ' + JSON.stringify(texts())));
    const late = setTimeout(never, 500_000);
    const observer = new MutationObserver(() => {
      if (!texts().some((text) => ${String(pattern)}.test(text))) return;
      observer.disconnect();
      clearTimeout(late);
      document.querySelector(${JSON.stringify(button)}).click();
      resolve();
    });
    observer.observe(document.body, { subtree: true, childList: true, characterData: true });
  }))`);
  await begin();
  await page.evaluate('globalThis.pressed');
}

/** A page that is loaded again takes what is asked of it along. */
const isReloading = (error: unknown): boolean =>
  /context was destroyed|Cannot find context|detached/.test(String(error));

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
    const { found, alerts } = await (page.evaluate(look) as Promise<{ found: string[]; alerts: string[] }>).catch(
      (error: unknown) => {
        if (!isReloading(error)) throw error;
        return { found: [], alerts: [] };
      },
    );
    const text = found.find((one) => pattern.test(one));
    if (text !== undefined) return text;
    if (Date.now() > end) {
      throw new Error(`${selector} never matched ${pattern}: ${JSON.stringify({ found, alerts })}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
