// A page with a model in a worker, in headless Chromium: a golden's ids, a chat of SmolLM2 out of its GGUF, a second visit without the network.
import { createReadStream, readFileSync, statSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openSafetensors } from '@hip/checkpoints';
import { describeBrowser, missingShared, sharedPath } from '@hip/testing';
import { bundle, type TestPage } from '@hip/testing/browser';
import type { Order, Report } from './fixtures/worker.ts';
import { chatFolder } from './helpers/chat-folder.ts';

const fixtures = join(import.meta.dirname, 'fixtures');
const shared = sharedPath();
const GOLDEN = 'goldens/mistral';
const GGUF = 'models/smollm2-135m-instruct/SmolLM2-135M-Instruct.Q4_1.gguf';

describeBrowser('a model in a worker', (open) => {
  let server: Server;
  let address: string;
  let requests = 0;
  let online = true;
  let tab: TestPage;
  let chat: Awaited<ReturnType<typeof chatFolder>>;
  beforeAll(async () => {
    chat = await chatFolder();
    server = createServer((request, response) => {
      requests++;
      response.setHeader('Access-Control-Allow-Origin', '*');
      response.setHeader('Access-Control-Allow-Headers', 'range, if-range, if-match');
      response.setHeader('Access-Control-Expose-Headers', 'content-range, etag');
      response.setHeader('Cross-Origin-Resource-Policy', 'cross-origin');
      if (!online) return void response.writeHead(503).end();
      if (request.method === 'OPTIONS') return void response.writeHead(204).end();
      const { url = '' } = request;
      const path = url.startsWith('/chat/')
        ? join(chat.path, url.slice('/chat/'.length))
        : join(shared ?? chat.path, url);
      const size = statSync(path, { throwIfNoEntry: false })?.size;
      if (size === undefined) return void response.writeHead(404).end();
      const [, from, to] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '') ?? [];
      if (from === undefined) {
        response.writeHead(200, { 'content-length': size });
        return void createReadStream(path).pipe(response);
      }
      const end = to ? Math.min(Number(to), size - 1) : size - 1;
      response.writeHead(206, {
        'content-range': `bytes ${from}-${end}/${size}`,
        'content-length': end + 1 - Number(from),
      });
      createReadStream(path, { start: Number(from), end }).pipe(response);
    });
    await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
    address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const { '/entry.js': worker, ...parts } = await bundle(join(fixtures, 'worker.ts'));
    // What is loaded later imports the worker by the name that it has here.
    const named = Object.entries(parts).map(([path, code]) => [
      path,
      typeof code === 'string' ? code.replaceAll('./entry.js', './worker.js') : code,
    ]);
    const chunks = Object.fromEntries(named) as typeof parts;
    tab = await open({ entry: join(fixtures, 'page.ts'), files: { ...chunks, '/worker.js': worker! } });
  });
  afterAll(async () => {
    await tab?.[Symbol.asyncDispose]();
    chat?.[Symbol.dispose]();
    server?.closeAllConnections();
    await new Promise((resolve) => (server ? void server.close(resolve) : resolve(undefined)));
  });
  const order = async (what: Order) =>
    (await tab.page.evaluate(`order(${JSON.stringify(what)})`)) as Report & { readonly ticks: number };

  it.skipIf(!shared)(`gives a golden’s greedy ids${missingShared(GOLDEN)}`, async () => {
    const golden = await openSafetensors(readFileSync(join(shared!, GOLDEN, 'golden.safetensors')));
    const ids = async (name: string) => [...(await golden.read(name)).data].map(Number);
    const [prompt, expected] = [await ids('in.input_ids'), await ids('out.greedy_ids')];
    const report = await order({
      location: `${address}/${GOLDEN}`,
      threads: 2,
      prompt,
      maxTokens: expected.length,
      weights: 'f32',
    });
    expect(report).toMatchObject({ isWorker: true, ids: expected });
  });

  it('keeps a document in the origin private file system: the next worker finds it there, and answers alike', async () => {
    const asked = { location: `${address}/chat`, threads: 1, weights: 'f32', question: 'What?', maxTokens: 8 } as const;
    const about = { ...asked, document: 'A long document, of which there is only one. '.repeat(4) };
    const first = await order(about);
    expect(first).toMatchObject({ isWorker: true, origin: 'computed' });
    expect(first.tokens).toBeGreaterThan(about.document.length);
    expect(first).not.toHaveProperty('problem');
    const second = await order(about);
    expect(second).toMatchObject({ origin: 'store', tokens: first.tokens, pieces: first.pieces });
    expect(second).not.toHaveProperty('problem');
    expect(await order({ ...about, document: `${about.document}Or two.` })).toMatchObject({ origin: 'computed' });
  });

  it('has a store there that writes all or nothing', async () => {
    const { pieces } = await order({ location: 'store', threads: 1, maxTokens: 0 });
    expect(pieces).toEqual(['nothing', '1,1,2,2,3,3', '4,4', 'no more', '4,4', 'nothing', 'invalid-input']);
  });

  it.skipIf(!shared)(
    `gives them on WebGPU, too${missingShared(GOLDEN)}`,
    async () => {
      const golden = await openSafetensors(readFileSync(join(shared!, GOLDEN, 'golden.safetensors')));
      const ids = async (name: string) => [...(await golden.read(name)).data].map(Number);
      const [prompt, expected] = [await ids('in.input_ids'), await ids('out.greedy_ids')];
      const asked = { location: `${address}/${GOLDEN}`, threads: 1, prompt, maxTokens: 4, backend: 'webgpu' } as const;
      expect(await order(asked)).toMatchObject({ isWorker: true, backend: 'webgpu', ids: expected.slice(0, 4) });
    },
    600_000,
  );

  it.skipIf(!shared)(
    `chats on WebGPU as on WebAssembly${missingShared(GOLDEN)}`,
    async () => {
      const asked = {
        location: `${address}/chat`,
        threads: 1,
        question: 'What?',
        maxTokens: 5,
        weights: 'f32',
      } as const;
      const [wanted, given] = [await order(asked), await order({ ...asked, backend: 'webgpu' })];
      expect(wanted).toMatchObject({ backend: 'wasm', messages: 2 });
      expect(wanted.ids!.length).toBeGreaterThan(0);
      expect(given).toMatchObject({
        isWorker: true,
        backend: 'webgpu',
        messages: 2,
        ids: wanted.ids,
        pieces: wanted.pieces,
      });
    },
    600_000,
  );

  it.skipIf(!shared)(`chats with SmolLM2, the second time without the network${missingShared(GGUF)}`, async () => {
    const chats = readFileSync(join(shared!, 'goldens/smollm2/chats.json'), 'utf8');
    const [[turn]] = (
      JSON.parse(chats) as { conversations: [[{ prompt: string; greedy_ids: number[]; text: string }]] }
    ).conversations;
    const maxTokens = turn.greedy_ids.length;
    const asked = { location: `${address}/${GGUF}`, threads: 2, question: turn.prompt, maxTokens };
    const first = await order(asked);
    expect(first.ids).toEqual(turn.greedy_ids.slice(0, -1));
    expect(first.pieces!.join('')).toBe(turn.text);
    // The page is free while the worker computes.
    expect(first.ticks).toBeGreaterThan(10);
    online = false;
    const before = requests;
    await tab.page.reload();
    const second = await order(asked);
    expect(second).toMatchObject({ ids: first.ids!, pieces: first.pieces! });
    expect(await order({ ...asked, threads: 1, abort: true })).toMatchObject({ code: 'aborted', messages: 2 });
    expect(requests).toBe(before);
  });
});
