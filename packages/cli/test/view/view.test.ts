// `instatune view`: one page that needs nothing else, served to this machine alone, following a study that grows.
import { mkdtempSync, readFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseHTML } from 'linkedom';
import { beforeAll, describe, expect, it } from 'vitest';
import { describeBrowser } from '@hip/testing';
import { bertSynth, resume, runSearch } from '@instatune/search';
import type { StudyView } from '@instatune/search/report';
import { renderStudyPage } from '../../src/view/page.ts';
import { serveStudy } from '../../src/view/server.ts';
import { openStudyFile } from '../../src/view/study-file.ts';
import { cli, start } from '../helpers/run.ts';

const folder = mkdtempSync(join(tmpdir(), 'view-'));
const study = join(folder, 'study.db');

beforeAll(async () => {
  await runSearch(bertSynth(), { tactic: 'random', evaluations: 20, population: 20, seed: 1, study });
});

const small: StudyView = {
  name: '</script><script>alert(1)</script>',
  variables: [{ name: 'x', kind: 'real', bounds: [0, 1] }],
  objectives: [{ name: 'loss', direction: 'minimize' }],
  constraints: [],
  trials: [{ number: 0, state: 'complete', values: { x: 0.5 }, objectives: { loss: 1 } }],
};

describe('the page', () => {
  it('holds its study and its script, whatever the study is called, and asks nobody', () => {
    const html = renderStudyPage(small);
    const { document } = parseHTML(html);
    expect(document.querySelectorAll('script')).toHaveLength(2);
    expect(JSON.parse(document.querySelector('#study')!.textContent)).toEqual(small);
    expect(document.querySelectorAll('[src], link[href^=http]')).toHaveLength(0);
    const policy = document.querySelector('meta[http-equiv]')!.getAttribute('content')!;
    expect(policy).toMatch(/^default-src 'none'; script-src 'sha256-[^']+'/);
    expect(policy).not.toContain('connect-src');
  });
});

describe('instatune view', () => {
  it('writes the page to a file', async () => {
    const ended = await cli(folder, 'view', 'study.db', '--out', 'page.html');
    expect(ended).toMatchObject({ code: 0, err: '' });
    const { document } = parseHTML(readFileSync(join(folder, 'page.html'), 'utf8'));
    const view = JSON.parse(document.querySelector('#study')!.textContent) as StudyView;
    expect(view.trials).toHaveLength(20);
  });

  it('says what it cannot show', async () => {
    expect(await cli(folder, 'view', 'other.db')).toMatchObject({
      code: 2,
      err: expect.stringMatching(/no study file at other\.db: start one/),
    });
    expect(await cli(folder, 'view', 'page.html')).toMatchObject({
      code: 2,
      err: expect.stringMatching(/page\.html cannot be read as a study/),
    });
  });

  it('serves until it is interrupted', async () => {
    const { child, ended } = start(folder, 'view', 'study.db');
    const url = await new Promise<string>((resolve) => {
      child.stdout!.on('data', (chunk: Buffer) => {
        const [found] = /http:\S+/.exec(chunk.toString()) ?? [];
        if (found) resolve(found);
      });
    });
    expect((await fetch(url)).headers.get('content-type')).toContain('text/html');
    child.kill('SIGINT');
    expect(await ended).toMatchObject({ code: 0, err: '' });
  });
});

describe('the server', () => {
  it('answers to its own name only, and only to be read', async () => {
    using file = openStudyFile(study, {});
    await using server = await serveStudy(file, 0);
    expect(((await (await fetch(`${server.url}study.json`)).json()) as StudyView).name).toBe('default');
    expect((await fetch(`${server.url}study.db`)).status).toBe(404);
    expect((await fetch(server.url, { method: 'POST' })).status).toBe(405);
    const status = await new Promise<number | undefined>((resolve, reject) => {
      request(server.url, { headers: { host: 'evil.example' } }, (response) => {
        response.resume();
        resolve(response.statusCode);
      })
        .on('error', reject)
        .end();
    });
    expect(status).toBe(421);
    await expect(serveStudy(file, Number(new URL(server.url).port))).rejects.toMatchObject({ code: 'invalid-option' });
  });
});

describeBrowser('the page in a browser', (open) => {
  it('follows the study while another process goes on with it', async () => {
    using file = openStudyFile(study, {});
    await using server = await serveStudy(file, 0);
    await using tab = await open();
    await tab.page.goto(server.url);
    await tab.page.waitForSelector('.front svg');
    const text = () => tab.page.$eval('header p', (node) => node.textContent);
    expect(await text()).toContain('20 measured');
    await resume(bertSynth(), { study, evaluations: 40 });
    await tab.page.waitForFunction(`document.querySelector('header p').textContent.includes('40 measured')`);
    expect(tab.errors).toEqual([]);
  });
});
