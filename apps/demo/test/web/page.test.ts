// The page in a real browser, over a real run of the pipeline on a tiny model.
import { existsSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { describeBrowser } from '@hip/testing';
import { describe, expect, it } from 'vitest';
import { REPOSITORY } from '../../src/pipeline/text.ts';
import { servePage } from '../../src/web/server.ts';
import { newFolder, tinyCheckpoint, writeTexts } from '../helpers.ts';

const folder = newFolder();

describe('the page’s server', () => {
  it('answers localhost only, and says what it cannot take', async () => {
    await using server = await servePage({ out: join(folder, 'none') });
    const post = (path: string, body: string, headers: Record<string, string> = {}) =>
      fetch(`${server.url}${path}`, { method: 'POST', body, headers });
    expect((await fetch(`${server.url}/`)).headers.get('content-type')).toMatch('text/html');
    expect(await (await fetch(`${server.url}/status`)).json()).toEqual({
      isRunning: false,
      isResumable: false,
      hasReport: false,
    });
    expect((await post('/stop', '')).status).toBe(202);
    expect((await post('/start', 'nonsense')).status).toBe(400);
    expect((await post('/start', '{"resume": false, "input": {"steps": "many"}}')).status).toBe(400);
    expect((await fetch(`${server.url}/report.html`)).status).toBe(404);
  });
});

describeBrowser('the page', (open) => {
  it('starts a run, draws it while it goes, links its report', async () => {
    const { text, document } = writeTexts(folder);
    const model = await tinyCheckpoint(join(folder, 'tiny'));
    const out = join(folder, 'out');
    await using server = await servePage({ out });
    await using tab = await open();
    const page = await tab.page.browser().newPage();
    const errors: string[] = [];
    page.on('pageerror', (error) => errors.push(String(error)));
    await page.goto(server.url, { waitUntil: 'load' });
    await page.waitForFunction(
      'document.querySelector("button[name=start]") && !document.querySelector("button[name=start]").disabled',
    );
    // A run that cannot be: the sentence is shown.
    const start = async (input: object): Promise<void> => {
      const response = await fetch(`${server.url}/start`, {
        method: 'POST',
        body: JSON.stringify({ resume: false, input }),
      });
      expect(response.status).toBe(202);
    };
    const ended = () =>
      page.waitForFunction(
        '["done"].includes(document.querySelector("#status").textContent) || document.querySelector("#status").className === "bad"',
        { timeout: 100_000 },
      );
    await page.type('input[name=text]', join(folder, 'nowhere.ts'));
    await page.click('button[name=start]');
    await ended();
    expect(await page.$eval('#status', (status) => status.textContent)).toMatch(
      /--text ".*nowhere\.ts" does not exist/,
    );
    const tiny = {
      steps: 6,
      batch: 2,
      sequence: 32,
      evaluations: 6,
      cost: 'macs',
      lengths: [128, 256],
      keys: 64,
      generate: 4,
    };
    await start({ model, text: [text], document, backend: 'wasm', ...tiny });
    expect((await fetch(`${server.url}/start`, { method: 'POST', body: '{"resume": true, "input": {}}' })).status).toBe(
      409,
    );
    await page.waitForFunction('document.querySelector("#status").className === ""');
    await ended();
    expect(await page.$eval('#status', (status) => status.textContent)).toBe('done');
    const shown = (selector: string): Promise<number> => page.$$eval(selector, (found) => found.length);
    expect(await shown('#loss circle')).toBeGreaterThanOrEqual(2);
    expect(await shown('#front circle')).toBeGreaterThanOrEqual(6);
    expect(await shown('#time circle')).toBe(8);
    expect(await page.$eval('#pass-keys', (line) => line.textContent)).toMatch(/pass-keys hidden in .* tokens of /);
    expect(await shown('#rows tr')).toBe(3);
    await page.waitForFunction('!document.querySelector("#links").hidden');
    const report = await fetch(`${server.url}/report.html`);
    expect(report.status).toBe(200);
    const html = await report.text();
    for (const place of [folder, REPOSITORY, tmpdir(), homedir()]) expect(html).not.toContain(`${place}/`);
    expect(html).toMatch(/text\.ts/);
    expect(existsSync(join(out, 'result.json'))).toBe(true);
    expect(errors).toEqual([]);
  });
});
