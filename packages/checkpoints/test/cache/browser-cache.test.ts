// The cache in headless Chromium: a second visit without the network, room for as much as is allowed, nothing left of what was broken off.
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import { existsSync, readFileSync, statSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeBrowser } from '@hip/testing';
import type { TestPage } from '@hip/testing/browser';
import { openBrowserCache } from '../../src/cache/browser-cache.ts';

const FOLDER = join(import.meta.dirname, '../fixtures/families');
const entry = join(import.meta.dirname, '../fixtures/cache-page.ts');
const size = (model: string) =>
  ['config.json', 'model.safetensors'].reduce((sum, file) => sum + statSync(join(FOLDER, model, file)).size, 0);

it('needs a browser', async () => {
  await expect(openBrowserCache()).rejects.toMatchObject({ code: 'unsupported' });
});

describeBrowser('the cache in a browser', (open) => {
  let server: Server;
  let address: string;
  let requests = 0;
  let online = true;
  let tab: TestPage;
  beforeAll(async () => {
    server = createServer((request, response) => {
      requests++;
      response.setHeader('Access-Control-Allow-Origin', '*');
      response.setHeader('Access-Control-Allow-Headers', 'range');
      response.setHeader('Access-Control-Expose-Headers', 'content-range');
      const path = join(FOLDER, request.url ?? '');
      if (!online) return void response.writeHead(503).end();
      if (request.method === 'OPTIONS') return void response.writeHead(204).end();
      if (!existsSync(path)) return void response.writeHead(404).end();
      const bytes = readFileSync(path);
      const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? [];
      if (from === undefined) return void response.writeHead(200).end(bytes);
      const end = Math.min(Number(to), bytes.length - 1);
      response.writeHead(206, { 'content-range': `bytes ${from}-${end}/${bytes.length}` });
      response.end(bytes.subarray(Number(from), end + 1));
    });
    await new Promise<void>((resolve) => {
      server.listen(0, '127.0.0.1', resolve);
    });
    address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    tab = await open({ entry });
  });
  afterAll(async () => {
    await tab?.[Symbol.asyncDispose]();
    // To `close` a browser's spare connections, which have asked for nothing, are not idle: it would wait for them for good.
    server.closeAllConnections();
    await new Promise((resolve) => void server.close(resolve));
  });
  const call = (name: string, ...args: readonly unknown[]) =>
    tab.page.evaluate(`${name}(${args.map((value) => JSON.stringify(value)).join(', ')})`);
  const at = (model: string) => `${address}/${model}`;

  it('serves several at once', async () => {
    expect(await call('crowd', at('granite'), 6)).toEqual([1, 1, 1, 1, 1, 1]);
    expect(await call('forget', at('granite'))).toBe(true);
  });

  it('loads a second visit without the network', async () => {
    const first = await call('visit', at('granite'));
    expect(first).toMatchObject({ family: 'granite', advice: null, sum: expect.any(Number) });
    const asked = requests;
    expect(asked).toBeGreaterThan(3);
    online = false;
    await tab.page.reload();
    expect(await call('visit', at('granite'))).toEqual(first);
    expect(requests).toBe(asked);
    // What was never asked for is asked for, and is not there.
    expect(await call('visit', at('olmo2'))).toMatchObject({ code: 'network' });
    online = true;
    expect(await call('entries')).toContainEqual({
      location: at('granite'),
      bytes: size('granite'),
      files: ['config.json', 'model.safetensors'],
    });
  });

  it('forgets by name, and everything', async () => {
    expect(await call('forget', at('granite'))).toBe(true);
    expect(await call('forget', at('granite'))).toBe(false);
    const asked = requests;
    await call('visit', at('granite'));
    expect(requests).toBeGreaterThan(asked);
    await call('clear');
    expect(await call('entries')).toEqual([]);
  });

  it('keeps as much as is allowed, what was used last', async () => {
    const room = size('granite') + size('olmo2');
    for (const model of ['granite', 'olmo2', 'granite', 'gemma']) {
      expect(await call('visit', at(model), { maxBytes: room })).toHaveProperty('sum');
    }
    const kept = (await call('entries')) as { location: string }[];
    expect(kept.map(({ location }) => location)).toEqual([at('gemma'), at('granite')]);
    expect(await call('visit', at('gemma3'), { maxBytes: 9000 })).toMatchObject({ code: 'cache-full' });
    const names = ((await call('entries')) as { location: string; files: string[] }[]).flatMap(({ location, files }) =>
      location === at('gemma3') ? files : [],
    );
    expect(names).toEqual(['config.json']);
    await call('clear');
  });

  it('leaves nothing of a download that was aborted', async () => {
    expect(await call('aborted', at('granite'))).toMatchObject({ code: 'aborted' });
    expect(await call('entries')).toMatchObject([{ location: at('granite'), files: ['config.json'] }]);
    expect(await call('visit', at('granite'))).toHaveProperty('sum');
  });
});
