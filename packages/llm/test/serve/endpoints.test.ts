// The other endpoints, and what all of them have in common: who may ask, bodies, methods, models.
import { describe, expect, it } from 'vitest';
import { LlmError } from '../../src/errors.ts';
import { createServer } from '../../src/serve.ts';
import { END, fakeModel, hashed } from '../helpers/fake-model.ts';
import { bytes, eventsOf, request, served, type Json } from '../helpers/serving.ts';

/** Goes on with the alphabet, and ends behind z. */
const alphabet = (ids: readonly number[]) => (ids.at(-1) === 122 ? END : (ids.at(-1) as number) + 1);

describe('completions', () => {
  it('goes on with a text, with texts, with tokens', async () => {
    const { post } = await served({ follow: alphabet });
    const { status, body } = await post('/v1/completions', { model: 'fake', prompt: 'uv', temperature: 0 });
    expect(status).toBe(200);
    expect(body).toMatchObject({
      object: 'text_completion',
      choices: [{ index: 0, text: 'wxyz', finish_reason: 'stop', logprobs: null }],
      usage: { prompt_tokens: 2, completion_tokens: 4, total_tokens: 6 },
    });
    const texts = async (prompt: unknown, fields: object = {}) =>
      (await post('/v1/completions', { prompt, temperature: 0, max_tokens: 3, ...fields })).body.choices.map(
        ({ text }: Json) => text,
      );
    expect(await texts(['a', 'h'], { n: 2 })).toEqual(['bcd', 'bcd', 'ijk', 'ijk']);
    expect(await texts([97, 98])).toEqual(['cde']);
    expect(await texts([[97], [120]], { echo: true })).toEqual(['abcd', 'xyz']);
    expect(await texts('a', { max_tokens: 0, echo: true })).toEqual(['a']);
  });

  it('streams, and reports log-probabilities with offsets', async () => {
    const { server, post } = await served({ follow: alphabet });
    const events = await eventsOf(
      await server.fetch(request('/v1/completions', { prompt: 'w', temperature: 0, stream: true })),
    );
    expect(events.at(-1)).toBe('[DONE]');
    expect(
      events
        .slice(0, -1)
        .map(({ choices }) => choices[0].text)
        .join(''),
    ).toBe('xyz');
    const { body } = await post('/v1/completions', { prompt: 'w', temperature: 0, logprobs: 2, echo: true });
    const [{ text, logprobs }] = body.choices;
    expect(text).toBe('wxyz');
    expect(logprobs.tokens).toEqual(['x', 'y', 'z']);
    expect(logprobs.text_offset).toEqual([1, 2, 3]);
    expect(Object.keys(logprobs.top_logprobs[0])).toHaveLength(2);
    expect(logprobs.token_logprobs.every((value: number) => value < 0 && value > -1)).toBe(true);
  });

  it.each([
    [{}, 'prompt'],
    [{ prompt: '' }, 'prompt'],
    [{ prompt: [] }, 'prompt'],
    [{ prompt: [97, 1e6] }, 'prompt'],
    [{ prompt: 'x', suffix: 'y' }, 'suffix'],
    [{ prompt: 'x', best_of: 2 }, 'best_of'],
  ])('refuses %j', async (fields, param) => {
    const { post } = await served();
    const { status, body } = await post('/v1/completions', fields);
    expect([status, body.error.param]).toEqual([400, param]);
  });
});

describe('embeddings', () => {
  const embedder = {
    width: 3,
    maxTokens: 8,
    embed: async (texts: readonly string[]) => ({
      vectors: texts.map((text) => Float32Array.of(text.length, 0.5, -1)),
      tokens: texts.map((text) => text.length),
    }),
  };

  it('gives vectors as numbers and as base64, and counts', async () => {
    const { post } = await served({}, { embedder: { name: 'encoder', embedder } });
    const { body } = await post('/v1/embeddings', { model: 'encoder', input: ['ab', 'abc'] });
    expect(body).toEqual({
      object: 'list',
      model: 'encoder',
      data: [
        { object: 'embedding', index: 0, embedding: [2, 0.5, -1] },
        { object: 'embedding', index: 1, embedding: [3, 0.5, -1] },
      ],
      usage: { prompt_tokens: 5, total_tokens: 5 },
    });
    const coded = (await post('/v1/embeddings', { input: 'ab', encoding_format: 'base64' })).body.data[0].embedding;
    const view = new DataView(Uint8Array.from(atob(coded), (letter) => letter.charCodeAt(0)).buffer);
    expect([0, 4, 8].map((at) => view.getFloat32(at, true))).toEqual([2, 0.5, -1]);
  });

  it('says what it cannot do', async () => {
    const { post } = await served({}, { embedder: { name: 'encoder', embedder } });
    const error = async (body: object) => {
      const answer = await post('/v1/embeddings', body);
      return [answer.status, answer.body.error.param];
    };
    expect(await error({ input: 'x', dimensions: 2 })).toEqual([400, 'dimensions']);
    expect(await error({ input: '' })).toEqual([400, 'input']);
    expect(await error({ input: 'x', model: 'fake' })).toEqual([404, 'model']);
    expect((await (await served()).post('/v1/embeddings', { input: 'x' })).status).toBe(501);
  });
});

it('lists models, by id and by their other names', async () => {
  const { server } = await served({}, { names: ['owner/fake', 'fake'] });
  const get = async (path: string) => {
    const response = await server.fetch(new Request(`http://localhost${path}`));
    return { status: response.status, body: await response.json() };
  };
  expect((await get('/v1/models')).body).toMatchObject({
    object: 'list',
    data: [{ id: 'owner/fake', object: 'model', context_length: 4096 }],
  });
  for (const name of ['owner/fake', 'owner%2Ffake', 'fake'])
    expect((await get(`/v1/models/${name}`)).body.id).toBe('owner/fake');
  expect(await get('/v1/models/other')).toMatchObject({
    status: 404,
    body: { error: { code: 'model_not_found', param: 'model' } },
  });
  expect((await get('/health')).body).toMatchObject({ status: 'ok', running: 0, waiting: 0 });
});

it('answers every name of the model with the first, and no other', async () => {
  const { post } = await served({ follow: hashed }, { names: ['fake', 'alias'] });
  const ask = (model: unknown) => post('/v1/completions', { model, prompt: 'x', max_tokens: 1 });
  expect((await ask('alias')).body.model).toBe('fake');
  expect((await ask(undefined)).body.model).toBe('fake');
  expect(await ask('gpt-5')).toMatchObject({ status: 404, body: { error: { code: 'model_not_found' } } });
});

describe('what every request must be', () => {
  const valid = { prompt: 'x', max_tokens: 1 };

  it('names the host by an address or localhost, or one that is allowed', async () => {
    const { post } = await served();
    const status = async (host: string, p = post) => (await p('/v1/completions', valid, { headers: { host } })).status;
    for (const host of [
      'localhost',
      'localhost:8080',
      '127.0.0.1:1',
      '[::1]:8080',
      '192.168.1.7:8080',
      'a.localhost',
    ]) {
      expect(await status(host)).toBe(200);
    }
    for (const host of [
      'evil.example',
      'localhost.evil.example:8080',
      '127.0.0.1.nip.io',
      'evil.example:80@localhost',
      '',
    ])
      expect(await status(host)).toBe(403);
    const named = await served({}, { allowedHosts: ['box.lan'] });
    expect(await status('box.lan:8080', named.post)).toBe(200);
    expect(await status('other.lan', named.post)).toBe(403);
    expect(await status('evil.example', (await served({}, { allowedHosts: ['*'] })).post)).toBe(200);
  });

  it('comes from a page of this machine or one that is allowed, where it comes from a page', async () => {
    const { post, server } = await served({}, { allowedOrigins: ['https://friend.example'] });
    const ask = (origin: string) => post('/v1/completions', valid, { headers: { origin } });
    for (const origin of ['http://localhost:3000', 'http://127.0.0.1', 'http://[::1]:5173', 'https://friend.example']) {
      const { status, headers } = await ask(origin);
      expect([status, headers.get('access-control-allow-origin')]).toEqual([200, origin]);
    }
    for (const origin of ['https://evil.example', 'null', 'https://localhost.evil.example', 'http://192.168.1.9'])
      expect((await ask(origin)).status).toBe(403);
    const asked = await server.fetch(
      new Request('http://localhost/v1/chat/completions', {
        method: 'OPTIONS',
        headers: { origin: 'http://localhost:3000', 'access-control-request-headers': 'content-type,x-stainless-os' },
      }),
    );
    expect(asked.status).toBe(204);
    expect(asked.headers.get('access-control-allow-headers')).toContain('x-stainless-os');
  });

  it('brings the key where there is one', async () => {
    const { post, server } = await served({}, { apiKey: 'sk-right' });
    const status = async (authorization?: string) =>
      (await post('/v1/completions', valid, { headers: authorization === undefined ? {} : { authorization } })).status;
    expect(await status('Bearer sk-right')).toBe(200);
    for (const wrong of [undefined, 'Bearer sk-wrong', 'Bearer sk-right2', 'Bearer ', 'sk-right'])
      expect(await status(wrong)).toBe(401);
    expect((await server.fetch(new Request('http://localhost/health'))).status).toBe(200);
  });

  it('is JSON of a bounded size, to a path and by a method that there are', async () => {
    const { post, server } = await served({}, { bodyLimit: 1000 });
    const error = async (path: string, body: unknown, init?: RequestInit) => {
      const answer = await post(path, body, init);
      return [answer.status, answer.body.error.code];
    };
    expect(await error('/v1/completions', '{"prompt": "x"')).toEqual([400, 'invalid_json']);
    expect(await error('/v1/completions', '')).toEqual([400, 'invalid_json']);
    expect(await error('/v1/completions', '[]')).toEqual([400, 'invalid_value']);
    expect(await error('/v1/completions', 'null')).toEqual([400, 'invalid_value']);
    expect(await error('/v1/completions', { prompt: 'x'.repeat(1000) })).toEqual([413, 'body_too_large']);
    expect(await error('/v1/completions', valid, { headers: { 'content-type': 'text/plain' } })).toEqual([
      415,
      'unsupported_media_type',
    ]);
    expect(await error('/v1/nothing', valid)).toEqual([404, 'not_found']);
    expect(await error('/v1/completions', valid, { method: 'PUT' })).toEqual([405, 'method_not_allowed']);
    // A body without a length, that does not end.
    let sent = 0;
    const endless = new ReadableStream({
      pull: (controller) => {
        sent += 100;
        controller.enqueue(bytes('x'.repeat(100)));
      },
    });
    const init = { method: 'POST', body: endless, duplex: 'half', headers: { 'content-type': 'application/json' } };
    expect((await server.fetch(new Request('http://localhost/v1/completions', init))).status).toBe(413);
    expect(sent).toBeLessThan(5000);
  });
});

it('is refused what makes no server', async () => {
  const { model } = await fakeModel();
  const error = (options: object) => {
    try {
      createServer(model, options);
    } catch (thrown) {
      return thrown instanceof LlmError ? thrown.code : thrown;
    }
  };
  expect(error({ slots: 0 })).toBe('invalid-input');
  expect(error({ queue: -1 })).toBe('invalid-input');
  expect(error({ names: [] })).toBe('invalid-input');
  expect(error({ cacheTokens: 1.5 })).toBe('invalid-input');
});
