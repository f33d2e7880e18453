// The page of long documents in headless Chromium, from a static file server that sends no special headers.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeBrowser } from '@hip/testing';
import type { TestPage } from '@hip/testing/browser';
import { builtSite, openIsolated, picture, press, pressWhen, waitForText, wide } from '../site.ts';
import { tinyModel } from '../tiny.ts';
import { quantizedModel } from './quantized.ts';
import { visitor, type Visitor } from './visitor.ts';

const NOVEL = join(import.meta.dirname, '../../../demo/text/moby-dick.txt');

/** Drops a file on an element. @returns whether the page keeps the browser from opening it */
const dropped = (selector: string): string => `(() => {
  const dataTransfer = new DataTransfer();
  dataTransfer.items.add(new File(['Call me Ishmael.'], 'ishmael.txt', { type: 'text/plain' }));
  const event = new DragEvent('drop', { dataTransfer, bubbles: true, cancelable: true });
  return !document.querySelector(${JSON.stringify(selector)}).dispatchEvent(event);
})()`;

describeBrowser('a long document', (open) => {
  const folder = mkdtempSync(join(tmpdir(), 'tiny-'));
  let tab: TestPage;
  let visit: Visitor;
  beforeAll(async () => {
    tab = await open({ root: await builtSite(), isolated: false });
    visit = visitor(tab.page);
    await openIsolated(tab.page, `${tab.url}/document/`);
  });
  afterAll(async () => {
    await tab?.[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true, force: true });
  });

  it('is isolated without any header, so that threads share memory', async () => {
    expect(await tab.page.evaluate('crossOriginIsolated')).toBe(true);
  });

  it('says what it cannot take, and how to mend it', async () => {
    const { page } = tab;
    await visit.source('address');
    await visit.type('input[name=address]', 'no address at all');
    await press(page, 'button[name=load]');
    expect(await visit.failure(/bad-address/)).toMatch(/give https/);
    await visit.type('input[name=address]', `${tab.url}/nowhere`);
    await press(page, 'button[name=load]');
    await visit.failure(/file-not-found.*config\.json/);
    await visit.source('files');
    await press(page, 'button[name=load]');
    expect(await visit.failure(/no-files/)).toMatch(/choose a \.gguf/);
    await visit.pick('input[name=files]', join(import.meta.dirname, '../../package.json'));
    await press(page, 'button[name=load]');
    await visit.failure(/file-not-found.*config\.json/);
    // Damaged, cut off, of another kind: each in words, whatever it is called.
    const model = readFileSync(join(import.meta.dirname, '../../../demo/model/model.safetensors'));
    const config = readFileSync(join(import.meta.dirname, '../../../demo/model/config.json'));
    const header = Buffer.from('GGUF\u0003\0\0\0\u0001\0\0\0\0\0\0\0', 'latin1');
    for (const [names, contents, pattern] of [
      [['a.gguf'], [model.subarray(0, 9000)], /a\.gguf/],
      [['b.gguf'], [header], /b\.gguf/],
      [['c.gguf'], [''], /c\.gguf/],
      [['config.json', 'model.safetensors'], [config, model.subarray(0, 9000)], /model\.safetensors/],
      [['config.json', 'model.safetensors'], ['{"model_type": "llama"', model], /config\.json/],
      [['config.json', 'model.safetensors'], ['{"model_type": "whisper"}', model], /whisper/],
    ] as const) {
      // Of files that change under it a browser says only that.
      const apart = mkdtempSync(join(folder, 'bad-'));
      contents.forEach((content, i) => writeFileSync(join(apart, names[i]!), content));
      await visit.pick('input[name=files]', ...names.map((name) => join(apart, name)));
      await press(page, 'button[name=load]');
      await visit.failure(pattern);
    }
    await visit.pick('input[type=file][name=text]', join(import.meta.dirname, '../../../demo/model/model.safetensors'));
    expect(await visit.failure(/not-text/)).toMatch(/save it as plain text/);
    await press(page, 'button[name=book]');
    await waitForText(page, '.note', /Moby-Dick.*characters/);
  });

  it('stops loading where it is told to, and loads again', async () => {
    const { page } = tab;
    await visit.source('bundled');
    const load = () => press(page, 'button[name=load]');
    await pressWhen(page, 'button[name=stop-load]', ['.status', /^Loading/], load);
    await waitForText(page, '.status', /^Stopped/);
    expect(await visit.load('wasm', '1024')).toMatch(/llama: 6 layers, 4\/2 heads of 64.*On WebAssembly, \d+ threads/);
  });

  it('wants a text, and stops reading where it is told to', async () => {
    const { page } = tab;
    await page.reload({ waitUntil: 'load' });
    await visit.load('wasm', '2048');
    await press(page, 'button[name=read]');
    await visit.failure(/no-text/);
    // Beside its place a file changes nothing, not even the page.
    expect(await page.evaluate(dropped('footer'))).toBe(true);
    expect(await page.evaluate(dropped('.drop'))).toBe(true);
    await waitForText(page, '.note', /^ishmael\.txt: 16 characters/);
    await press(page, 'button[name=read]');
    expect(await visit.failure(/text-too-short/)).toMatch(/at least 16/);
    await press(page, 'button[name=book]');
    await waitForText(page, '.note', /Moby-Dick.*characters/);
    const read = () => press(page, 'button[name=read]');
    await pressWhen(page, 'button[name=stop-read]', ['[data-figure=rate]', /\d/], read);
    await waitForText(page, '.status', /^Stopped/);
  });

  it('reads the bundled book with the bundled model in both ways, and finds the pass-key', async () => {
    const { page } = tab;
    await visit.read();
    expect(await waitForText(page, '.status', /^HiP read/)).toMatch(/^HiP read 2,048 tokens/);
    expect(await visit.figure('dense', 'answer')).toMatch(/^Found the pass-key/);
    expect(await visit.figure('hip', 'answer')).toMatch(/^Found the pass-key/);
    const [dense, hip] = [
      Number(await visit.figure('dense', 'perplexity')),
      Number(await visit.figure('hip', 'perplexity')),
    ];
    expect(hip / dense).toBeGreaterThan(0.98);
    expect(hip / dense).toBeLessThan(1.02);
    // HiP reads part of the keys, dense attention all of them.
    expect(await page.$eval('.dense canvas', (canvas) => canvas.getAttribute('aria-label'))).toMatch(/100 % of all/);
    expect(await page.$eval('.hip canvas', (canvas) => canvas.getAttribute('aria-label'))).toMatch(/ [4-8]\d % of all/);
    await picture(page, 'document');
  });

  it('reads a GGUF file of several kinds of blocks as it reads the model that they were made of', async () => {
    const perplexity = Number(await visit.figure('hip', 'perplexity'));
    const file = join(folder, 'books-lm-6m.Q4_K_M.gguf');
    writeFileSync(file, await quantizedModel());
    await visit.source('files');
    await visit.pick('input[name=files]', file);
    expect(await visit.load('wasm', '2048')).toMatch(/llama: 6 layers, 4\/2 heads of 64/);
    await visit.read();
    expect(Number(await visit.figure('hip', 'perplexity')) / perplexity).toBeGreaterThan(0.97);
    expect(Number(await visit.figure('hip', 'perplexity')) / perplexity).toBeLessThan(1.03);
    expect(await visit.figure('hip', 'answer')).toMatch(/^Found the pass-key/);
    expect(await visit.figure('dense', 'answer')).toMatch(/^Found the pass-key/);
  });

  it('fits a phone, and is used by the keyboard alone', async () => {
    const { page } = tab;
    expect(await wide(page)).toBe(0);
    await picture(page, 'document-phone', 360);
    // Long enough to be still read when the next key comes.
    const long = join(folder, 'long.txt');
    writeFileSync(long, readFileSync(NOVEL, 'utf8').repeat(4));
    await visit.pick('input[type=file][name=text]', long);
    await waitForText(page, '.note', /^long\.txt: /);
    await visit.load('wasm', '16384');
    await page.focus('button[name=read]');
    await page.keyboard.press('Enter');
    await waitForText(page, '.status', /^Reading/);
    expect(await page.$eval('button[name=stop-load]', (button) => button.hasAttribute('disabled'))).toBe(true);
    await page.keyboard.press('Tab');
    expect(await page.evaluate('document.activeElement.name')).toBe('stop-read');
    await page.keyboard.press('Space');
    await waitForText(page, '.status', /^Stopped/);
  });

  it('begins anew after a reload', async () => {
    const { page } = tab;
    await page.reload({ waitUntil: 'load' });
    expect(await waitForText(page, '.status', /model/)).toBe('No model is loaded.');
  });

  it('shows on WebGPU the keys that WebAssembly shows, of a small model since it is computed in software here', async () => {
    const { page } = tab;
    await visit.source('files');
    const model = mkdtempSync(join(folder, 'model-'));
    await tinyModel(model, 3);
    await visit.pick('input[name=folder]', model);
    await visit.choose('lanes', 'hip');
    await visit.choose('tokens', '1024');
    await visit.type('textarea[name=typed]', readFileSync(NOVEL, 'utf8').slice(0, 4500));
    await visit.hide(false);
    /** @returns percent of all pairs that the third layer reads */
    const read = async (backend: string, where: RegExp): Promise<number> => {
      await visit.choose('backend', backend);
      await press(page, 'button[name=load]');
      expect(await waitForText(page, '.status', /^llama: 3 layers/)).toMatch(where);
      await press(page, 'button[name=read]');
      await waitForText(page, '[data-lane=hip] .bar', /1,024 of 1,024 tokens/);
      await page.waitForFunction('document.querySelector("[name=stop-read]").disabled');
      // Random weights know nothing: every token of 4,096 is as likely.
      expect(Number(await visit.figure('hip', 'perplexity'))).toBeGreaterThan(3000);
      expect(Number(await visit.figure('hip', 'perplexity'))).toBeLessThan(6000);
      const label = await page.$eval('.hip canvas', (canvas) => canvas.getAttribute('aria-label') ?? '');
      return Number(/ (\d+) % of all/.exec(label)?.[1]);
    };
    // So short a text is read whole, unless somebody asks for a selection. And what nobody learnt to find is not found.
    await visit.hide(true);
    expect(await read('wasm', /On WebAssembly/)).toBe(100);
    expect(await visit.figure('hip', 'answer')).toMatch(/^Did not find the pass-key/);
    await visit.hide(false);
    await waitForText(page, '.hip .note', /every key is read/);
    await press(page, 'input[name=always]');
    const wanted = await read('wasm', /On WebAssembly/);
    expect(wanted).toBeGreaterThan(50);
    expect(wanted).toBeLessThan(90);
    expect(Math.abs((await read('webgpu', /On WebGPU/)) - wanted)).toBeLessThan(2);
    await picture(page, 'document-webgpu');
    await press(page, 'input[name=always]');
  });

  it('logs no error', () => {
    // Files that a model may do without are asked for, and are not there.
    expect(tab.errors.filter((error) => !/ERR_ABORTED|404/.test(error))).toEqual([]);
  });
});
