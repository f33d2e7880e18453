// The page of long documents in headless Chromium, from a static file server that sends no special headers.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openSafetensors } from '@hip/checkpoints';
import { describeBrowser, missingShared, sharedPath } from '@hip/testing';
import { serve, type TestPage, type TestServer } from '@hip/testing/browser';
import { builtSite, openIsolated, picture, press, text, waitForText, wide, type BuiltSite } from '../site.ts';
import { tinyModel } from '../tiny.ts';

const models = sharedPath('models', 'smollm2-135m-instruct');
const goldens = sharedPath('goldens', 'smollm2');
const books = sharedPath('data', 'books');
const GGUF = 'SmolLM2-135M-Instruct.Q4_1.gguf';
const NOVEL = join(import.meta.dirname, '../../../demo/text/moby-dick.txt');
/** Words of a text for which HiP selects: it does from 1,024 tokens on. */
const WORDS = 760;

describeBrowser('a long document', (open) => {
  const folder = mkdtempSync(join(tmpdir(), 'tiny-'));
  let site: BuiltSite;
  let tab: TestPage;
  beforeAll(async () => {
    site = await builtSite();
    tab = await open({ root: site.folder, isolated: false });
    await openIsolated(tab.page, `${tab.url}/document/`);
  });
  afterAll(async () => {
    await tab?.[Symbol.asyncDispose]();
    site?.[Symbol.dispose]();
    rmSync(folder, { recursive: true, force: true });
  });

  /** Picks a file as a visitor does. */
  const pick = async (selector: string, ...paths: readonly string[]): Promise<void> => {
    const input = await tab.page.waitForSelector(selector);
    await (input as unknown as { uploadFile(...all: readonly string[]): Promise<void> }).uploadFile(...paths);
  };
  const choose = (name: string, value: string): Promise<unknown> => tab.page.select(`select[name=${name}]`, value);
  const source = (kind: string): Promise<void> => press(tab.page, `input[value=${kind}]`);
  const type = async (selector: string, value: string): Promise<void> => {
    await tab.page.focus(selector);
    await tab.page.$eval(selector, (box) => (box as HTMLTextAreaElement).select());
    await tab.page.keyboard.press('Backspace');
    await tab.page.keyboard.sendCharacter(value);
  };
  const figure = (lane: string, name: string): Promise<string> =>
    text(tab.page, `[data-lane=${lane}] [data-figure=${name}]`);
  const load = async (backend: string, tokens: string): Promise<string> => {
    await choose('backend', backend);
    await choose('tokens', tokens);
    await press(tab.page, 'button[name=load]');
    return loaded();
  };
  const loaded = (): Promise<string> => waitForText(tab.page, '.status', /^\w+: \d+ layers/);
  const failure = (pattern: RegExp): Promise<string> => waitForText(tab.page, '[role=alert]', pattern);

  it('is isolated without any header, so that threads share memory', async () => {
    expect(await tab.page.evaluate('crossOriginIsolated')).toBe(true);
  });

  it('says what it cannot take, and how to mend it', async () => {
    const { page } = tab;
    await source('address');
    await type('input[name=address]', 'no address at all');
    await press(page, 'button[name=load]');
    expect(await failure(/bad-address/)).toMatch(/give https/);
    await type('input[name=address]', `${tab.url}/nowhere`);
    await press(page, 'button[name=load]');
    await failure(/file-not-found.*config\.json/);
    await source('files');
    await press(page, 'button[name=load]');
    expect(await failure(/no-files/)).toMatch(/choose a \.gguf/);
    await pick('input[name=files]', join(import.meta.dirname, '../../package.json'));
    await press(page, 'button[name=load]');
    await failure(/file-not-found.*config\.json/);
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
      await pick('input[name=files]', ...names.map((name) => join(apart, name)));
      await press(page, 'button[name=load]');
      await failure(pattern);
    }
    await pick('input[type=file][name=text]', join(import.meta.dirname, '../../../demo/model/model.safetensors'));
    expect(await failure(/not-text/)).toMatch(/save it as plain text/);
    await press(page, 'button[name=book]');
    await waitForText(page, '.note', /Moby-Dick.*characters/);
  });

  it('stops loading where it is told to, and loads again', async () => {
    const { page } = tab;
    await source('bundled');
    await press(page, 'button[name=load]');
    await press(page, 'button[name=stop-load]');
    await waitForText(page, '.status', /^Stopped/);
    expect(await load('wasm', '1024')).toMatch(/llama: 6 layers, 4\/2 heads of 64.*On WebAssembly, \d+ threads/);
  });

  it('wants a text, and stops reading where it is told to', async () => {
    const { page } = tab;
    await page.reload({ waitUntil: 'load' });
    await load('wasm', '2048');
    await press(page, 'button[name=read]');
    await failure(/no-text/);
    await type('textarea[name=typed]', 'Call me Ishmael.');
    await press(page, 'button[name=read]');
    expect(await failure(/text-too-short/)).toMatch(/at least 16/);
    await press(page, 'button[name=book]');
    await waitForText(page, '.note', /Moby-Dick.*characters/);
    await press(page, 'button[name=read]');
    await waitForText(page, '[data-figure=rate]', /\d/);
    await press(page, 'button[name=stop-read]');
    await waitForText(page, '.status', /^Stopped/);
  });

  it('reads the bundled book with the bundled model in both ways, and finds the pass-key', async () => {
    const { page } = tab;
    await press(page, 'button[name=read]');
    await waitForText(page, '.status', /^HiP read 2,048 tokens/);
    expect(await figure('dense', 'answer')).toMatch(/^Found the pass-key/);
    expect(await figure('hip', 'answer')).toMatch(/^Found the pass-key/);
    const [dense, hip] = [Number(await figure('dense', 'perplexity')), Number(await figure('hip', 'perplexity'))];
    expect(hip / dense).toBeGreaterThan(0.98);
    expect(hip / dense).toBeLessThan(1.02);
    // HiP reads part of the keys, dense attention all of them.
    expect(await page.$eval('.dense canvas', (canvas) => canvas.getAttribute('aria-label'))).toMatch(/100 % of all/);
    expect(await page.$eval('.hip canvas', (canvas) => canvas.getAttribute('aria-label'))).toMatch(/ [4-8]\d % of all/);
    await picture(page, 'document');
  });

  it('fits a phone, and is used by the keyboard alone', async () => {
    const { page } = tab;
    expect(await wide(page)).toBe(0);
    await picture(page, 'document-phone', 360);
    await page.focus('button[name=read]');
    await page.keyboard.press('Enter');
    await waitForText(page, '.status', /^Reading/);
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
    await source('files');
    await pick('input[name=files]', ...(await tinyModel(folder, 3)));
    await choose('lanes', 'hip');
    await choose('tokens', '1024');
    await type('textarea[name=typed]', readFileSync(NOVEL, 'utf8').slice(0, 4500));
    await press(page, 'input[name=hide]');
    /** @returns percent of all pairs that the third layer reads */
    const read = async (backend: string, where: RegExp): Promise<number> => {
      await choose('backend', backend);
      await press(page, 'button[name=load]');
      expect(await waitForText(page, '.status', /^llama: 3 layers/)).toMatch(where);
      await press(page, 'button[name=read]');
      await waitForText(page, '[data-lane=hip] .bar', /1,024 of 1,024 tokens/);
      await page.waitForFunction('document.querySelector("[name=stop-read]").disabled');
      // Random weights know nothing: every token of 4,096 is as likely.
      expect(Number(await figure('hip', 'perplexity'))).toBeGreaterThan(3000);
      expect(Number(await figure('hip', 'perplexity'))).toBeLessThan(6000);
      const label = await page.$eval('.hip canvas', (canvas) => canvas.getAttribute('aria-label') ?? '');
      return Number(/ (\d+) % of all/.exec(label)?.[1]);
    };
    // So short a text is read whole, unless somebody asks for a selection.
    expect(await read('wasm', /On WebAssembly/)).toBe(100);
    await waitForText(page, '.hip .note', /every key is read/);
    await press(page, 'input[name=always]');
    const wanted = await read('wasm', /On WebAssembly/);
    expect(wanted).toBeGreaterThan(50);
    expect(wanted).toBeLessThan(90);
    expect(Math.abs((await read('webgpu', /On WebGPU/)) - wanted)).toBeLessThan(2);
    await picture(page, 'document-webgpu');
    await press(page, 'input[name=always]');
  });

  describe.skipIf(!models || !goldens || !books)(`SmolLM2${missingShared('models/smollm2-135m-instruct')}`, () => {
    let other: TestServer;
    beforeAll(async () => {
      other = await serve({ root: models!, isolated: false, cors: true });
    });
    afterAll(() => other?.[Symbol.asyncDispose]());
    const { conversations } = JSON.parse(goldens ? readFileSync(join(goldens, 'chats.json'), 'utf8') : '{}') as {
      conversations: readonly (readonly { readonly prompt: string; readonly text: string }[])[];
    };

    const ask = async (question: string): Promise<void> => {
      await type('textarea[name=question]', question);
      await press(tab.page, 'button[name=send]');
    };

    it('is read from this device, and its perplexity is the reference’s', async () => {
      const { page } = tab;
      await source('files');
      await pick('input[name=files]', join(models!, GGUF));
      await choose('backend', 'wasm');
      await choose('lanes', 'both');
      await choose('tokens', '2048');
      await press(page, 'button[name=load]');
      await waitForText(page, '.status', /^llama: 30 layers/);
      const novel = readFileSync(join(books!, 'herman-melville_moby-dick.txt'), 'utf8');
      // Without the space at its end, which would be a token of its own.
      const start = novel
        .split(/(?<= )/)
        .slice(0, WORDS)
        .join('')
        .trimEnd();
      await type('textarea[name=typed]', start);
      if (await page.$eval('input[name=hide]', (box) => box.checked)) await press(page, 'input[name=hide]');
      await press(page, 'button[name=read]');
      await waitForText(page, '.status', /^HiP read [\d,]+ tokens/);
      const tokens = Number(
        (await waitForText(page, '[data-lane=dense] .bar', /tokens$/))
          .match(/of ([\d,]+) tokens/)![1]!
          .replace(',', ''),
      );
      expect(tokens).toBeGreaterThan(1100);
      const golden = await openSafetensors(readFileSync(join(goldens!, 'books.safetensors')));
      const losses = Array.from((await golden.read('moby-dick.0.nll')).data, Number).slice(0, tokens - 1);
      const reference = Math.exp(losses.reduce((sum, loss) => sum + loss, 0) / losses.length);
      const [dense, hip] = [Number(await figure('dense', 'perplexity')), Number(await figure('hip', 'perplexity'))];
      expect(Math.abs(dense / reference - 1)).toBeLessThan(0.005);
      expect(hip / dense).toBeLessThan(1.01);
      expect(hip / dense).toBeGreaterThan(0.99);
    });

    it('answers as the reference does, and stops', async () => {
      const [turn] = conversations[0]!;
      await ask(turn!.prompt);
      await waitForText(tab.page, '[data-answer=hip] .note', /tokens before it/);
      expect(await text(tab.page, '[data-answer=hip] blockquote')).toBe(turn!.text);
      expect(await text(tab.page, '[data-answer=dense] blockquote')).toBe(turn!.text);
      await ask('Tell me a long story about it.');
      await tab.page.waitForFunction(
        'document.querySelectorAll("[data-answer=hip] blockquote")[1]?.textContent.length > 3',
      );
      await press(tab.page, 'button[name=stop-chat]');
      await waitForText(tab.page, '[aria-labelledby=chat] .status', /^Stopped/);
      await picture(tab.page, 'document-chat');
    });

    it('is read over the network, and the second time without it', async () => {
      const { page } = tab;
      await page.reload({ waitUntil: 'load' });
      for (const time of ['first', 'second']) {
        await source('address');
        await type('input[name=address]', `${other.url}/${GGUF}`);
        await choose('backend', 'wasm');
        await choose('lanes', 'hip');
        await press(page, 'button[name=load]');
        await loaded();
        const [turn] = conversations[0]!;
        await ask(turn!.prompt);
        await waitForText(page, '[data-answer=hip] .note', /tokens before it/);
        expect(await text(page, '[data-answer=hip] blockquote'), time).toBe(turn!.text);
        if (time === 'second') return;
        await other[Symbol.asyncDispose]();
        await page.reload({ waitUntil: 'load' });
      }
    });
  });

  it('logs no error', () => {
    // Files that a model may do without are asked for, and are not there.
    expect(tab.errors.filter((error) => !/ERR_ABORTED|404/.test(error))).toEqual([]);
  });
});
