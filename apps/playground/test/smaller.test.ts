// The page of smaller models in headless Chromium: a super-network learns a text, is searched, and a point of the front is taken along.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { unzipSync } from 'fflate';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { memoryFiles, openCheckpoint } from '@hip/checkpoints';
import { describeBrowser } from '@hip/testing';
import type { TestPage } from '@hip/testing/browser';
import { openOnnxModel } from '@hip/onnx/model';
import { paretoFront } from '../src/smaller/pareto.ts';
import { tinyModel } from './tiny.ts';
import { builtSite, openIsolated, picture, press, pressWhen, text, waitForText, wide } from './site.ts';

describe('paretoFront', () => {
  it('holds what nothing beats, the fastest first', () => {
    const cost = fc.integer({ min: 0, max: 6 });
    fc.assert(
      fc.property(fc.array(fc.tuple(cost, cost), { minLength: 1, maxLength: 30 }), (pairs) => {
        const points = pairs.map(([latency, loss], number) => ({ number, latency, loss }));
        const beats = (a: (typeof points)[0], b: (typeof points)[0]): boolean =>
          a.latency <= b.latency && a.loss <= b.loss && (a.latency < b.latency || a.loss < b.loss);
        const front = paretoFront(points);
        const values = (numbers: readonly number[]): string[] =>
          numbers.map((n) => `${points[n]!.latency} ${points[n]!.loss}`);
        const expected = points.filter((b) => !points.some((a) => beats(a, b))).map(({ number }) => number);
        expect([...new Set(values(front))].sort()).toEqual([...new Set(values(expected))].sort());
        expect(front.map((n) => points[n]!.latency)).toEqual(
          front.map((n) => points[n]!.latency).toSorted((a, b) => a - b),
        );
      }),
    );
  });
});

describeBrowser('a smaller model', (open) => {
  const downloads = mkdtempSync(join(tmpdir(), 'smaller-'));
  const folder = mkdtempSync(join(tmpdir(), 'tiny-'));
  let site: string;
  let tab: TestPage;
  beforeAll(async () => {
    site = await builtSite();
    tab = await open({ root: site, isolated: false });
    const session = await tab.page.createCDPSession();
    await session.send('Page.setDownloadBehavior', { behavior: 'allow', downloadPath: downloads });
    await openIsolated(tab.page, `${tab.url}/smaller/`);
  });
  afterAll(async () => {
    await tab?.[Symbol.asyncDispose]();
    for (const each of [downloads, folder]) rmSync(each, { recursive: true, force: true });
  });
  const fill = (name: string, value: number): Promise<void> =>
    tab.page.$eval(
      `input[name=${name}]`,
      (input, next) => void ((input as unknown as { value: string }).value = next),
      String(value),
    );
  /** The file of a download, once it is whole. */
  const saved = async (name: string): Promise<Uint8Array> => {
    for (const end = Date.now() + 500_000; Date.now() < end;) {
      if (readdirSync(downloads).includes(name)) return readFileSync(join(downloads, name));
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    throw new Error(`${name} was never saved: ${readdirSync(downloads).join(', ')}; ${await text(tab.page, 'main')}`);
  };

  it('learns a text, and stops where it is told to', async () => {
    const { page } = tab;
    await page.select('select[name=backend]', 'wasm');
    await press(page, 'input[value=files]');
    const input = await page.waitForSelector('input[name=files]');
    await (input as unknown as { uploadFile(...paths: string[]): Promise<void> }).uploadFile(
      ...(await tinyModel(folder)),
    );
    await press(page, 'button[name=load]');
    expect(await waitForText(page, '.status', /^llama: 2 layers/)).toMatch(/sub-networks. tfjs runs on wasm/);
    await press(page, 'button[name=train]');
    await waitForText(page, '[role=alert]', /no-text/);
    await press(page, 'button[name=book]');
    await waitForText(page, '.note', /Moby-Dick.*characters/);
    for (const [name, value] of [
      ['steps', 1000],
      ['batch', 2],
      ['tokens', 16],
    ] as const)
      await fill(name, value);
    await pressWhen(page, 'button[name=stop-train]', ['.bar', /step \d+ of/], () => press(page, 'button[name=train]'));
    await waitForText(page, '.status', /^Stopped/);
    // From the model's own weights, not from what those steps made of them.
    await press(page, 'button[name=load]');
    await waitForText(page, '.status', /^llama: 2 layers/);
    await fill('steps', 150);
    await press(page, 'button[name=train]');
    const status = await waitForText(page, '.status', /^Loss on text/);
    const [before, after] = status.match(/\d+\.\d+/g)!.map(Number);
    // By far more than threads that add up in another order change.
    expect(after).toBeLessThan(before! - 0.01);
    expect(await page.$eval('svg.loss', (svg) => svg.getAttribute('aria-label'))).toMatch(/after 150$/);
  });

  it('is searched: a front of sub-networks by latency here and loss', async () => {
    const { page } = tab;
    await fill('evaluations', 8);
    await press(page, 'button[name=search]');
    expect(await waitForText(page, '.status', /sub-networks are on the front/)).toMatch(/of 8 sub-networks/);
    expect(await page.$$eval('svg.front circle', (all) => all.length)).toBe(8);
    expect(await wide(page)).toBe(0);
    // By the keyboard, as by the pointer.
    await page.$eval('svg.front circle.best', (circle) => (circle as unknown as { focus(): void }).focus());
    await page.keyboard.press('Enter');
    expect(await waitForText(page, '[data-chosen]', /Latency.*Parameters/)).toMatch(
      /did not learn\d\.\d{3}, [\d.]+ \(the whole network: \d\.\d{3}, before it learnt \d\.\d{3}\)/,
    );
    await picture(page, 'smaller');
  });

  it('gives the chosen one as safetensors and as ONNX', async () => {
    const { page } = tab;
    await press(page, 'button[name=save-safetensors]');
    const files = new Map(Object.entries(unzipSync(await saved('model.zip'))));
    await using checkpoint = await openCheckpoint(memoryFiles(files));
    expect(checkpoint.config.vocabSize).toBe(4096);
    expect((await checkpoint.tokenizer())!.encode('whale').length).toBeGreaterThan(0);
    await waitForText(page, '.status', /^Saved model\.zip, [\d.]+ [KM]iB\.$/);
    await page.waitForFunction('!document.querySelector("button[name=save-onnx]").disabled');
    await press(page, 'button[name=save-onnx]');
    const { graph } = await openOnnxModel(await saved('model.onnx'));
    expect(graph.output.map(({ name }) => name)).toContain('logits');
    expect(tab.errors.filter((error) => !/ERR_ABORTED|404/.test(error))).toEqual([]);
  });

  it('does the same on WebGPU, computed in software here', async () => {
    const { page } = tab;
    await page.reload({ waitUntil: 'load' });
    await page.select('select[name=backend]', 'webgpu');
    await press(page, 'input[value=files]');
    const input = await page.waitForSelector('input[name=files]');
    await (input as unknown as { uploadFile(...paths: string[]): Promise<void> }).uploadFile(
      ...readdirSync(folder).map((name) => join(folder, name)),
    );
    await press(page, 'button[name=load]');
    expect(await waitForText(page, '.status', /^llama: 2 layers/)).toMatch(/tfjs runs on webgpu/);
    await page.focus('textarea[name=typed]');
    // Few windows: each is minutes of a processor that plays a GPU.
    await page.keyboard.sendCharacter('Call me Ishmael. Some years ago I went to sea. '.repeat(8));
    for (const [name, value] of [
      ['steps', 2],
      ['batch', 1],
      ['tokens', 8],
      ['evaluations', 4],
    ] as const)
      await fill(name, value);
    await press(page, 'button[name=train]');
    expect(await waitForText(page, '.status', /^Loss on text/)).toMatch(/\d\.\d+ before, \d\.\d+ after/);
    await press(page, 'button[name=search]');
    await waitForText(page, '.status', /of 4 sub-networks are on the front/);
    await page.$eval('svg.front circle.best', (circle) => (circle as unknown as { focus(): void }).focus());
    await page.keyboard.press('Space');
    await waitForText(page, '[data-chosen]', /Latency.*Parameters/);
    rmSync(join(downloads, 'model.zip'));
    await press(page, 'button[name=save-safetensors]');
    await using checkpoint = await openCheckpoint(
      memoryFiles(new Map(Object.entries(unzipSync(await saved('model.zip'))))),
    );
    expect(checkpoint.config.vocabSize).toBe(4096);
    expect(tab.errors.filter((error) => !/ERR_ABORTED|404/.test(error))).toEqual([]);
  });
});
