// Checkpoints over HTTP ranges and through @huggingface/hub against a local server; shards; faults of the server.
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { missingShared, sharedPath } from '@hip/testing';
import { hubFiles } from '../../src/checkpoint/hub.ts';
import { deepestReason } from '../../src/checkpoint/reason.ts';
import { loadCheckpoint } from '../../src/checkpoint/load.ts';
import { useBackend } from '../helpers/backend.ts';
import { loadGolden } from '../helpers/golden.ts';

const golden = sharedPath('goldens', 'qwen2');
const sharded = sharedPath('models', 'bert-mini');

const missing = missingShared('goldens/qwen2', 'models/bert-mini');

describe.skipIf(missing)(`remote checkpoints${missing}`, () => {
  let server: Server;
  let address: string;
  let sent = 0;
  let fault: 'none' | 'no-range' | 'short' | 'unavailable' | 'private' = 'none';
  const cached: Record<string, Buffer> = {};
  const folders: Record<string, string> = { qwen2: golden!, 'bert-mini': sharded! };

  /** Serves /NAME/FILE, and /team/NAME/resolve/REVISION/FILE as the Hub does. */
  const answer = (request: IncomingMessage, response: ServerResponse): void => {
    const hub = /^\/team\/([^/]+)\/resolve\/([^/]+)\/(.+)$/.exec(request.url ?? '');
    const plain = /^\/([^/]+)\/(.+)$/.exec(request.url ?? '');
    const [name, file] = hub ? [hub[1]!, hub[3]!] : [plain?.[1] ?? '', plain?.[2] ?? ''];
    const path = join(folders[name] ?? '/nowhere', file);
    if (fault === 'unavailable') return void response.writeHead(503).end();
    if (fault === 'private' && request.headers.authorization !== 'Bearer hf_secret')
      return void response.writeHead(401).end();
    if (!existsSync(path) || (hub && hub[2] !== 'main')) {
      const code = folders[name] && (!hub || hub[2] === 'main') ? 'EntryNotFound' : 'RepoNotFound';
      return void response.writeHead(404, { 'X-Error-Code': code }).end();
    }
    const bytes = (cached[path] ??= readFileSync(path));
    const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '');
    if (!range || fault === 'no-range') return void response.writeHead(200, { etag: '"x"' }).end(bytes);
    const [from, to] = [Number(range[1]), Math.min(Number(range[2]), bytes.length - 1)];
    const part = bytes.subarray(from, fault === 'short' && to > from ? to : to + 1);
    sent += part.length;
    response.writeHead(206, { 'content-range': `bytes ${from}-${to}/${bytes.length}`, etag: '"x"' }).end(part);
  };

  beforeAll(async () => {
    await useBackend('wasm');
    server = createServer(answer);
    await new Promise<void>((resolve) => {
      server.listen(0, '127.0.0.1', resolve);
    });
    address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  beforeEach(() => {
    fault = 'none';
    sent = 0;
  });
  afterAll(() => new Promise((resolve) => void server.close(resolve)));

  it('loads over HTTP ranges, sending each weight once', async () => {
    const { model } = await loadCheckpoint(`${address}/qwen2`);
    const { inputs, logits } = await loadGolden(golden!);
    expect(await model.forward(inputs).logits.data()).toBeAllclose(logits, { atol: 2e-4, rtol: 0 });
    expect(sent).toBeLessThan(readFileSync(`${golden}/model.safetensors`).length * 1.01);
    model.dispose();
  });

  it('loads from the Hub protocol, from shards, with the tokenizer', async () => {
    const { model, tokenizer, config } = await loadCheckpoint(hubFiles('team/bert-mini', { hubUrl: address }));
    expect(config.layers).toBe(8);
    expect(tokenizer!.decode(tokenizer!.encode('the white whale'))).toContain('white whale');
    model.dispose();
  });

  it('passes the access token, and says when one is needed', async () => {
    fault = 'private';
    const { model } = await loadCheckpoint(hubFiles('team/qwen2', { hubUrl: address, accessToken: 'hf_secret' }));
    model.dispose();
    await expect(loadCheckpoint(hubFiles('team/qwen2', { hubUrl: address }))).rejects.toMatchObject({
      code: 'network',
      details: { status: 401 },
    });
  });

  it('says what is missing', async () => {
    await expect(loadCheckpoint(`${address}/nothing`)).rejects.toMatchObject({ code: 'file-not-found' });
    await expect(loadCheckpoint(hubFiles('team/nothing', { hubUrl: address }))).rejects.toMatchObject({
      code: 'file-not-found',
    });
    await expect(loadCheckpoint(hubFiles('team/qwen2', { hubUrl: address, revision: 'v9' }))).rejects.toMatchObject({
      code: 'file-not-found',
    });
  });

  it.each(['no-range', 'short', 'unavailable'] as const)('types the server fault %s', async (kind) => {
    fault = kind;
    await expect(loadCheckpoint(`${address}/qwen2`)).rejects.toMatchObject({ code: 'network' });
  });

  it('aborts', async () => {
    const controller = new AbortController();
    controller.abort(new Error('enough'));
    await expect(loadCheckpoint(`${address}/qwen2`, { signal: controller.signal })).rejects.toMatchObject({
      code: 'aborted',
    });
    await expect(
      loadCheckpoint(hubFiles('team/qwen2', { hubUrl: address, signal: controller.signal })),
    ).rejects.toMatchObject({ code: 'aborted' });
  });

  it('types an unreachable server', async () => {
    await expect(loadCheckpoint('http://127.0.0.1:1/model')).rejects.toMatchObject({ code: 'network' });
  });
});

describe('the reason of a failure', () => {
  it('is in the message: refused connections, unknown hosts, the deepest of causes', async () => {
    const server = createServer();
    await new Promise<void>((resolve) => {
      server.listen(0, '127.0.0.1', resolve);
    });
    const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    await new Promise((resolve) => void server.close(resolve));
    const refused = { code: 'network', message: expect.stringContaining('ECONNREFUSED') };
    await expect(loadCheckpoint(`${address}/model`)).rejects.toMatchObject(refused);
    await expect(loadCheckpoint(hubFiles('team/model', { hubUrl: address }))).rejects.toMatchObject(refused);
    const unknown = Object.assign(new Error('getaddrinfo ENOTFOUND huggingface.co'), { code: 'ENOTFOUND' });
    const failing = async () => {
      throw new TypeError('fetch failed', { cause: unknown });
    };
    await expect(loadCheckpoint(hubFiles('team/model', { fetch: failing }))).rejects.toThrow(
      'the Hub failed for team/model/config.json: getaddrinfo ENOTFOUND huggingface.co',
    );
  });

  it('of several attempts it is the first one’s, with its code', () => {
    const attempts = new AggregateError([
      Object.assign(new Error('no route'), { code: 'EHOSTUNREACH' }),
      new Error('b'),
    ]);
    expect(deepestReason(new TypeError('fetch failed', { cause: attempts }))).toBe('EHOSTUNREACH: no route');
    expect(deepestReason(Object.assign(new AggregateError([]), { code: 'ECONNREFUSED' }))).toBe('ECONNREFUSED');
    expect(deepestReason('so')).toBe('so');
  });

  it('the library may be given', async () => {
    const hub = { downloadFile: async () => null };
    await expect(loadCheckpoint(hubFiles('team/model', { hub }))).rejects.toThrow('hf://team/model has no config.json');
  });
});
