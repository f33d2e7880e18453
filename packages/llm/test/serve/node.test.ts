// The server on a port: what real connections do to it.
import { connect } from 'node:net';
import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { LlmError } from '../../src/errors.ts';
import { createServer } from '../../src/serve.ts';
import { listening, type Listening } from '../helpers/listening.ts';

const sleep = (ms: number) => new Promise((resolve) => void setTimeout(resolve, ms));
const until = async (condition: () => boolean) => {
  while (!condition()) await sleep(5);
};

describe('a port', () => {
  let on: Listening;
  beforeAll(async () => void (on = await listening({ slots: 2, queue: 2 })));
  afterAll(() => on[Symbol.asyncDispose]());

  const post = (body: object, init: RequestInit = {}) =>
    fetch(`${on.url}/v1/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'tiny', prompt: 'Once', ...body }),
      ...init,
    });
  const isIdle = () => on.server.load.running === 0 && on.server.load.waiting === 0;

  it('answers as the library does', async () => {
    expect(on.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
    const response = await post({ temperature: 0, max_tokens: 24 });
    const { choices } = await response.json();
    const ids = await on.model.generate(on.model.tokenizer.encode('Once'), { temperature: 0, maxTokens: 24 });
    // Half a character at the end is not given.
    expect(choices[0].text).toBe(on.model.tokenizer.decode(ids).replace(/\uFFFD+$/, ''));
  });

  it('lets go of requests whose connections drop, in a stream or not', async () => {
    for (const stream of [true, false]) {
      const controller = new AbortController();
      const asked = post({ max_tokens: 1900, stream, logit_bias: { 257: -100 } }, { signal: controller.signal });
      await until(() => on.server.load.running === 1);
      if (stream) await (await asked).body!.getReader().read();
      controller.abort();
      await asked.catch(() => {});
      await until(isIdle);
    }
    expect(isIdle()).toBe(true);
  });

  it('lets go of what is half sent, and says what is wrong with what is no HTTP', async () => {
    const open = async (text: string) => {
      const socket = connect(on.port, '127.0.0.1');
      await once(socket, 'connect');
      socket.write(text);
      return socket;
    };
    const half = await open(
      'POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"pro',
    );
    await sleep(20);
    half.destroy();
    const bad = await open('NONSENSE\r\n\r\n');
    const [answer] = (await once(bad, 'data')) as [Buffer];
    expect(answer.toString()).toMatch(/^HTTP\/1\.1 400/);
    const rebound = await open('GET /v1/models HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n');
    const [refused] = (await once(rebound, 'data')) as [Buffer];
    expect(refused.toString()).toMatch(/^HTTP\/1\.1 403/);
    expect((await post({ max_tokens: 1 })).status).toBe(200);
  });

  it('does not keep a place for who reads slowly', async () => {
    const response = await post({ max_tokens: 300, stream: true, logprobs: 5, logit_bias: { 257: -100 } });
    // Nothing is read.
    await until(isIdle);
    const text = await response.text();
    expect(text.endsWith('data: [DONE]\n\n')).toBe(true);
  });

  it('is refused a second time, and where another listens', async () => {
    await expect(on.server.listen()).rejects.toMatchObject({ code: 'busy' });
    const other = createServer(on.model);
    await expect(other.listen({ port: on.port })).rejects.toThrow(/something else listens there/);
    await other.close();
    await expect(other.listen({ port: 0 })).rejects.toThrow(LlmError);
  });
});

it('ends while answers are written, and nothing keeps the process', async () => {
  const on = await listening();
  const body = JSON.stringify({ prompt: 'Once', max_tokens: 2000, stream: true, logit_bias: { 257: -100 } });
  const response = await fetch(`${on.url}/v1/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body,
  });
  const text = response.text();
  await until(() => on.server.load.running === 1);
  await on.server.close(20);
  expect(await text).toMatch(/"code":"shutting_down"/);
  await expect(fetch(on.url)).rejects.toThrow('fetch failed');
  on.model.close();
});
