// Every page as it is built: its frame, what it weighs before a model is asked for, and that leaving it ends its worker.
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { describeBrowser } from '@hip/testing';
import type { TestPage } from '@hip/testing/browser';
import { PAGES } from '../build/pages.ts';
import { builtSite, openIsolated, picture, press, untilIsolated, waitForText, wide } from './site.ts';

/** Bytes of scripts, compressed, that a page may have before anything is asked for. */
const BUDGET = 150_000;

/** Drags something over what takes it, enables and disables every button, scrolls: how many transitions and animations begin, and whether the end is reached at once. */
const MOTION = `new Promise((done) => {
  let moves = 0;
  for (const type of ['transitionrun', 'animationstart']) document.addEventListener(type, () => moves++);
  for (const zone of document.querySelectorAll('.drop'))
    zone.dispatchEvent(new DragEvent('dragover', { bubbles: true, cancelable: true }));
  for (const button of document.querySelectorAll('main button')) button.disabled = !button.disabled;
  scrollTo(0, 1e6);
  const jumps = Math.abs(document.documentElement.scrollHeight - innerHeight - scrollY) < 2;
  setTimeout(() => requestAnimationFrame(() => setTimeout(() => done({ moves, jumps }))), 300);
})`;

let site: string;
beforeAll(async () => {
  site = await builtSite();
});

/** A page's scripts and all that they import before they run. */
function scriptsOf(path: string): Map<string, string> {
  const html = readFileSync(join(site, path, 'index.html'), 'utf8');
  const found = new Map<string, string>();
  const follow = (file: string): void => {
    if (found.has(file)) return;
    const code = readFileSync(file, 'utf8');
    found.set(file, code);
    for (const [, specifier] of code.matchAll(
      /(?:^|[;}\s])(?:import|export)\s*(?:[\w*{}\s,$]+from\s*)?["'`](\.[^"'`]+)["'`]/g,
    ))
      follow(join(dirname(file), specifier!));
  };
  for (const [, source] of html.matchAll(/<(?:script[^>]* src|link rel="modulepreload"[^>]* href)="([^"]+)"/g))
    follow(join(site, path, source!));
  return found;
}

describe.each(PAGES)('/$path', ({ path, title, lead }) => {
  it(`paints with at most ${BUDGET / 1000} KB of scripts`, () => {
    const scripts = scriptsOf(path);
    expect(scripts.size).toBeGreaterThan(0);
    const bytes = [...scripts.values()].reduce((sum, code) => sum + gzipSync(code).length, 0);
    expect(bytes).toBeLessThan(BUDGET);
  });

  it('says what it is before any script runs, and marks itself in the navigation', () => {
    const html = readFileSync(join(site, path, 'index.html'), 'utf8');
    expect(html).toContain(`<h1>${title}</h1>`);
    expect(html).toContain(lead);
    expect(html.match(/aria-current="page"/g)).toHaveLength(1);
    expect(html).toContain('<html lang="en">');
  });
});

describeBrowser('the pages', (open) => {
  let tab: TestPage;
  beforeAll(async () => {
    tab = await open({ root: site, isolated: false });
    await openIsolated(tab.page, `${tab.url}/`);
  });
  afterAll(() => tab?.[Symbol.asyncDispose]());

  it.each(PAGES.map(({ path }) => path))('/%s fits a phone, in the light and the dark', async (path) => {
    await tab.page.goto(`${tab.url}/${path === '' ? '' : `${path}/`}`, { waitUntil: 'load' });
    expect(await wide(tab.page)).toBe(0);
    await picture(tab.page, `first-${path || 'index'}`, 360);
    // The first stop of the keyboard leads past the navigation.
    await tab.page.keyboard.press('Tab');
    expect(await tab.page.evaluate('document.activeElement.textContent')).toBe('Skip to content');
  });

  it('are isolated again after a load that went past the service worker, and work where none is in the way', async () => {
    const { page } = tab;
    const session = await page.createCDPSession();
    // As by shift and reload.
    await page.evaluate('globalThis.isBefore = true');
    await session.send('Page.reload', { ignoreCache: true });
    await page.waitForFunction('!globalThis.isBefore');
    await untilIsolated(page);
    await session.send('Network.enable');
    await session.send('Network.setBypassServiceWorker', { bypass: true });
    const { identifier } = await page.evaluateOnNewDocument(
      'globalThis.reloads = sessionStorage.getItem("playground-reloads")',
    );
    await page.goto(`${tab.url}/studies/`, { waitUntil: 'load' });
    // It is loaded anew for a while, and then no more.
    await page.waitForFunction('globalThis.reloads === "2" && document.readyState === "complete"');
    await page.removeScriptToEvaluateOnNewDocument(identifier);
    await page.evaluate('globalThis.isBefore = true');
    await press(page, 'button[name=example]');
    await waitForText(page, '.status', /^example: 240 trials/);
    expect(await page.evaluate('[crossOriginIsolated, globalThis.isBefore]')).toEqual([false, true]);
    await session.send('Network.setBypassServiceWorker', { bypass: false });
    await session.detach();
    await page.goto(`${tab.url}/`, { waitUntil: 'load' });
    await untilIsolated(page);
  });

  it('move nothing for visitors who want less motion, neither by a change of state nor by scrolling', async () => {
    const { page } = tab;
    const moves = new Map<string, number>();
    await page.setViewport({ width: 1000, height: 200 });
    for (const motion of ['no-preference', 'reduce']) {
      await page.emulateMediaFeatures([{ name: 'prefers-reduced-motion', value: motion }]);
      for (const { path } of PAGES) {
        await page.goto(`${tab.url}/${path === '' ? '' : `${path}/`}`, { waitUntil: 'load' });
        const found = (await page.evaluate(MOTION)) as { moves: number; jumps: boolean };
        expect([path, found.jumps]).toEqual([path, true]);
        moves.set(motion, (moves.get(motion) ?? 0) + found.moves);
      }
    }
    await page.emulateMediaFeatures([]);
    await page.setViewport({ width: 1000, height: 800 });
    // For the others something does: what is counted can be counted.
    expect(moves.get('no-preference')).toBeGreaterThan(0);
    expect(moves.get('reduce')).toBe(0);
  });

  it('end their workers when they are left, and their memory with them', async () => {
    const { page } = tab;
    await page.goto(`${tab.url}/document/`, { waitUntil: 'load' });
    await page.select('select[name=backend]', 'wasm');
    await press(page, 'button[name=load]');
    await waitForText(page, '.status', /^llama: 6 layers/);
    expect(page.workers().length).toBeGreaterThan(0);
    await page.goto(`${tab.url}/`, { waitUntil: 'load' });
    for (const end = Date.now() + 500_000; page.workers().length > 0 && Date.now() < end;)
      await new Promise((resolve) => setTimeout(resolve, 50));
    expect(page.workers()).toEqual([]);
    // The way back: whether the browser has kept the page or not, it begins anew.
    await page.goBack({ waitUntil: 'load' });
    await waitForText(page, '.status', /^No model is loaded/);
    await press(page, 'button[name=load]');
    await waitForText(page, '.status', /^llama: 6 layers/);
    expect(tab.errors.filter((error) => !/ERR_ABORTED|404/.test(error))).toEqual([]);
  });
});
