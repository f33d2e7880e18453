// Checkpoints over HTTP ranges and through @huggingface/hub against a local server; shards; faults of the server.
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { missingShared, sharedPath } from '@hip/testing';
import { hubFiles } from '../../src/files/hub.ts';
import { deepestReason } from '../../src/files/reason.ts';
import { openCheckpoint } from '../../src/checkpoint.ts';
import type { OpenOptions } from '../../src/checkpoint.ts';
import type { CheckpointFiles } from '../../src/files/files.ts';
import { weightSlots } from '../../src/model/slots.ts';
import { readSlots } from '../../src/weights/read-slots.ts';

const golden = sharedPath('goldens', 'qwen2');
const sharded = sharedPath('models', 'bert-mini');

const missing = missingShared('goldens/qwen2', 'models/bert-mini');

/** Everything there is to read of a checkpoint. */
async function readAll(location: string | CheckpointFiles, options: OpenOptions = {}) {
  await using checkpoint = await openCheckpoint(location, options);
  const values = await readSlots(checkpoint, weightSlots(checkpoint.config), options);
  return { values, config: checkpoint.config, tokenizer: await checkpoint.tokenizer() };
}

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
  afterAll(() => {
    server.closeAllConnections();
    return new Promise((resolve) => void server.close(resolve));
  });

  it('loads over HTTP ranges, sending each weight once', async () => {
    const { values } = await readAll(`${address}/qwen2`);
    expect(values).toEqual((await readAll(golden!)).values);
    expect(sent).toBeLessThan(readFileSync(`${golden}/model.safetensors`).length * 1.01);
  });

  it('loads from the Hub protocol, from shards, with the tokenizer', async () => {
    const { tokenizer, config } = await readAll(hubFiles('team/bert-mini', { hubUrl: address }));
    expect(config.layers).toBe(8);
    expect(tokenizer!.decode(tokenizer!.encode('the white whale'))).toContain('white whale');
  });

  it('passes the access token, and says when one is needed', async () => {
    fault = 'private';
    const { config } = await readAll(hubFiles('team/qwen2', { hubUrl: address, accessToken: 'hf_secret' }));
    expect(config.family).toBe('qwen2');
    await expect(readAll(hubFiles('team/qwen2', { hubUrl: address }))).rejects.toMatchObject({
      code: 'network',
      details: { status: 401 },
    });
  });

  it('says what is missing', async () => {
    await expect(readAll(`${address}/nothing`)).rejects.toMatchObject({ code: 'file-not-found' });
    await expect(readAll(hubFiles('team/nothing', { hubUrl: address }))).rejects.toMatchObject({
      code: 'file-not-found',
    });
    await expect(readAll(hubFiles('team/qwen2', { hubUrl: address, revision: 'v9' }))).rejects.toMatchObject({
      code: 'file-not-found',
    });
  });

  it('types a server that is down', async () => {
    fault = 'unavailable';
    const options = { retryDelayMs: 1 };
    await expect(readAll(`${address}/qwen2`, options)).rejects.toMatchObject({
      code: 'network',
      details: { status: 503 },
    });
  });

  it.each(['no-range', 'short'] as const)('loads from a server that answers with %s', async (kind) => {
    fault = kind;
    const { values } = await readAll(`${address}/qwen2`, { retryDelayMs: 1 });
    expect(values).toEqual((await readAll(golden!)).values);
  });

  it('aborts', async () => {
    const controller = new AbortController();
    controller.abort(new Error('enough'));
    await expect(readAll(`${address}/qwen2`, { signal: controller.signal })).rejects.toMatchObject({
      code: 'aborted',
    });
    await expect(readAll(hubFiles('team/qwen2', { hubUrl: address, signal: controller.signal }))).rejects.toMatchObject(
      { code: 'aborted' },
    );
  });

  it('types an unreachable server', async () => {
    await expect(readAll('http://127.0.0.1:1/model')).rejects.toMatchObject({ code: 'network' });
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
    await expect(readAll(`${address}/model`)).rejects.toMatchObject(refused);
    await expect(readAll(hubFiles('team/model', { hubUrl: address }))).rejects.toMatchObject(refused);
    const unknown = Object.assign(new Error('getaddrinfo ENOTFOUND huggingface.co'), { code: 'ENOTFOUND' });
    const failing = async () => {
      throw new TypeError('fetch failed', { cause: unknown });
    };
    await expect(readAll(hubFiles('team/model', { fetch: failing }))).rejects.toThrow(
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
    await expect(readAll(hubFiles('team/model', { hub }))).rejects.toThrow('hf://team/model has no config.json');
  });
});
