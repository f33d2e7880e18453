// Every method of OpenAI's client that a local server answers, with each of its options: what comes back, in the client's own types.
// The client's repository has such a list for its mock; its package on npm has none.
import OpenAI, {
  type APIError,
  APIConnectionTimeoutError,
  APIUserAbortError,
  AuthenticationError,
  BadRequestError,
  InternalServerError,
  NotFoundError,
  PermissionDeniedError,
  RateLimitError,
} from 'openai';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { LlmError } from '../../src/errors.ts';
import { createServer, type LlmServer, type ServerOptions } from '../../src/serve.ts';
import { bytes } from '../helpers/serving.ts';
import { END, fakeModel, START } from '../helpers/fake-model.ts';
import { TAGGED } from '../helpers/tool-templates.ts';

/** What the model says: its prompt ends behind "assistant\n", or it goes on with the alphabet. */
const SAID = bytes('one two three four');
const CALL = bytes('<tool_call>\n{"name": "now", "arguments": {"zone": "UTC"}}\n</tool_call>');
const usual = { said: SAID, isFailing: false, isSlow: false };
const state = { ...usual };
const follow = (ids: readonly number[]): number => {
  const from = ids.lastIndexOf(START);
  if (from < 0) return ids.at(-1) === 122 ? END : (ids.at(-1) as number) + 1;
  return state.said[ids.length - from - 1 - 'assistant\n'.length] ?? END;
};

const messages = [{ role: 'user' as const, content: 'Count.' }];
const asked = { model: 'fake', messages, temperature: 0 };
const ends: (() => Promise<void>)[] = [];
let client: OpenAI;
let server: LlmServer;

async function serving(options: ServerOptions = {}): Promise<{ server: LlmServer; baseURL: string }> {
  const onStep = (ids: readonly number[]) => {
    if (state.isFailing && ids.length > 60) throw new LlmError('out-of-memory', 'no room for another page', {});
  };
  const slowly = (ids: readonly number[]): number => {
    // A model that does not come to an end.
    return state.isSlow ? 97 : follow(ids);
  };
  const { model } = await fakeModel({ follow: slowly, onStep, template: TAGGED, contextTokens: 100_000 });
  const embedder = {
    width: 2,
    maxTokens: 16,
    embed: async (texts: readonly string[]) => ({
      vectors: texts.map((text) => Float32Array.of(text.length, 0.1)),
      tokens: texts.map(({ length }) => length),
    }),
  };
  const created = createServer(model, { names: ['fake'], embedder: { name: 'encoder', embedder }, ...options });
  ends.push(() => created.close(0));
  const { url } = await created.listen({ port: 0 });
  return { server: created, baseURL: `${url}/v1` };
}

beforeAll(async () => {
  const on = await serving();
  server = on.server;
  client = new OpenAI({ baseURL: on.baseURL, apiKey: 'none', maxRetries: 0 });
});
afterEach(() => void Object.assign(state, usual));
afterAll(async () => void (await Promise.all(ends.map((end) => end()))));

/** Content that a stream adds up to. */
async function streamed(fields: object): Promise<{ text: string; chunks: OpenAI.ChatCompletionChunk[] }> {
  const chunks: OpenAI.ChatCompletionChunk[] = [];
  for await (const chunk of await client.chat.completions.create({ ...asked, ...fields, stream: true }))
    chunks.push(chunk);
  return { text: chunks.map(({ choices }) => choices[0]?.delta.content ?? '').join(''), chunks };
}

const whole = (fields: object = {}) => client.chat.completions.create({ ...asked, ...fields, stream: false });

describe('chat.completions.create', () => {
  it.each<[string, object, string, string]>([
    ['nothing but messages', {}, 'one two three four', 'stop'],
    ['stop, a text', { stop: ' three' }, 'one two', 'stop'],
    ['stop, several', { stop: ['zzz', 'two'] }, 'one ', 'stop'],
    ['max_tokens', { max_tokens: 5 }, 'one t', 'length'],
    ['max_completion_tokens, which comes first', { max_tokens: 9, max_completion_tokens: 3 }, 'one', 'length'],
    ['max_completion_tokens 0', { max_completion_tokens: 0 }, '', 'length'],
    ['logit_bias', { logit_bias: { 111: -100, 120: 60 }, max_tokens: 1 }, 'x', 'length'],
    [
      'penalties, seed, top_p',
      { frequency_penalty: 0.1, presence_penalty: -0.1, seed: 7, top_p: 0.9 },
      'one two three four',
      'stop',
    ],
    ['response_format text', { response_format: { type: 'text' } }, 'one two three four', 'stop'],
    [
      'tool_choice none',
      { tools: [{ type: 'function', function: { name: 'now' } }], tool_choice: 'none' },
      'one two three four',
      'stop',
    ],
    [
      'what says nothing to a local model',
      {
        user: 'someone',
        metadata: { a: 'b' },
        store: false,
        service_tier: 'auto',
        reasoning_effort: 'none',
        verbosity: 'low',
        modalities: ['text'],
        prompt_cache_key: 'key',
        functions: [{ name: 'now' }],
        function_call: 'none',
      },
      'one two three four',
      'stop',
    ],
  ])('%s: whole and streamed', async (_, fields, text, reason) => {
    const answer = await whole(fields);
    expect(answer).toMatchObject({ object: 'chat.completion', model: 'fake', choices: [{ index: 0, logprobs: null }] });
    expect(answer.choices[0]!.message).toEqual({ role: 'assistant', content: text, refusal: null });
    expect(answer.choices[0]!.finish_reason).toBe(reason);
    expect(answer.usage!.total_tokens).toBe(answer.usage!.prompt_tokens + answer.usage!.completion_tokens);
    const { text: pieces, chunks } = await streamed(fields);
    expect(pieces).toBe(text);
    expect(new Set(chunks.map(({ id }) => id)).size).toBe(1);
    expect(chunks[0]!.choices[0]!.delta.role).toBe('assistant');
    expect(chunks.at(-1)!.choices[0]!.finish_reason).toBe(reason);
    expect(chunks.every(({ usage }) => usage === undefined)).toBe(true);
  });

  it('messages of every role, as texts and as parts', async () => {
    const answer = await whole({
      messages: [
        { role: 'developer', content: 'Be brief.' },
        {
          role: 'user',
          content: [
            { type: 'text', text: 'When' },
            { type: 'text', text: '?' },
          ],
          name: 'someone',
        },
        { role: 'assistant', tool_calls: [{ id: 'c', type: 'function', function: { name: 'now', arguments: '{}' } }] },
        { role: 'tool', tool_call_id: 'c', content: [{ type: 'text', text: 'Noon.' }] },
      ],
    });
    expect(answer.choices[0]!.message.content).toBe('one two three four');
  });

  it('n, with one prompt counted', async () => {
    const answer = await whole({ n: 3, max_tokens: 3 });
    expect(answer.choices.map(({ index, message }) => [index, message.content])).toEqual(
      [0, 1, 2].map((i) => [i, 'one']),
    );
    expect(answer.usage!.completion_tokens).toBe(9);
    const { chunks } = await streamed({ n: 2, max_tokens: 3 });
    expect(new Set(chunks.map(({ choices }) => choices[0]!.index))).toEqual(new Set([0, 1]));
  });

  it('seed: the same answer twice, each choice its own', async () => {
    state.isSlow = true;
    const drawn = () => whole({ temperature: 2, seed: 11, n: 2, max_tokens: 24 });
    const [one, other] = await Promise.all([drawn(), drawn()]);
    state.isSlow = false;
    const texts = one.choices.map(({ message }) => message.content);
    expect(other.choices.map(({ message }) => message.content)).toEqual(texts);
    expect(texts[0]).not.toBe(texts[1]);
  });

  it('logprobs and top_logprobs', async () => {
    const fields = { logprobs: true, top_logprobs: 2, max_tokens: 4 };
    const { content } = (await whole(fields)).choices[0]!.logprobs!;
    expect(content!.map(({ token }) => token).join('')).toBe('one ');
    for (const { token, bytes: own, logprob, top_logprobs: top } of content!) {
      expect([top.length, top[0]!.token, top[0]!.logprob]).toEqual([2, token, logprob]);
      expect(own).toEqual([...bytes(token)]);
    }
    const { chunks } = await streamed(fields);
    expect(chunks.flatMap(({ choices }) => choices[0]?.logprobs?.content ?? [])).toEqual(content);
    expect((await whole({ logprobs: true, max_tokens: 1 })).choices[0]!.logprobs!.content![0]!.top_logprobs).toEqual(
      [],
    );
  });

  it('stream_options.include_usage: a last chunk without choices', async () => {
    const { chunks } = await streamed({ stream_options: { include_usage: true } });
    expect(chunks.slice(0, -1).every(({ usage }) => usage === null)).toBe(true);
    expect(chunks.at(-1)).toMatchObject({ choices: [], usage: { completion_tokens: 18 } });
  });

  it('response_format: JSON by schema, parsed by the client', async () => {
    const schema = { type: 'object', properties: { a: { enum: [1] } }, required: ['a'], additionalProperties: false };
    const format = { type: 'json_schema' as const, json_schema: { name: 'it', strict: true, schema } };
    const parsed = await client.chat.completions.parse({ ...asked, response_format: format, max_tokens: 40 });
    expect(parsed.choices[0]!.message.parsed).toEqual({ a: 1 });
    const object = await whole({ response_format: { type: 'json_object' }, max_tokens: 40 });
    expect(typeof JSON.parse(object.choices[0]!.message.content!)).toBe('object');
  });

  it('tools: a call in the answer, streamed alike, and run by the client', async () => {
    state.said = CALL;
    const run = vi.fn<(args: unknown) => string>(() => {
      state.said = SAID;
      return 'Noon.';
    });
    const parameters = { type: 'object', properties: { zone: { type: 'string', maxLength: 4 } }, required: ['zone'] };
    const tools = [{ type: 'function' as const, function: { name: 'now', parameters } }];
    const called = { name: 'now', arguments: '{"zone":"UTC"}' };
    for (const tool_choice of ['auto', 'required', { type: 'function', function: { name: 'now' } }] as const) {
      const { message, finish_reason } = (
        await whole({ tools, tool_choice, parallel_tool_calls: false, max_tokens: 90 })
      ).choices[0]!;
      expect([finish_reason, message.content]).toEqual(['tool_calls', null]);
      expect(message.tool_calls).toMatchObject([{ type: 'function', function: called }]);
    }
    const { chunks } = await streamed({ tools });
    expect(chunks.flatMap(({ choices }) => choices[0]?.delta.tool_calls ?? [])).toMatchObject([
      { index: 0, function: called },
    ]);
    const runner = client.chat.completions.runTools({
      ...asked,
      tools: [
        {
          type: 'function',
          function: { ...tools[0]!.function, function: run, parse: JSON.parse, description: 'The time.' },
        },
      ],
    });
    expect(await runner.finalContent()).toBe('one two three four');
    expect(run.mock.calls[0]![0]).toEqual({ zone: 'UTC' });
  });

  it('chat.completions.stream: events that add up', async () => {
    const stream = client.chat.completions.stream(asked);
    const deltas: string[] = [];
    stream.on('content', (delta) => void deltas.push(delta));
    expect(await stream.finalContent()).toBe(deltas.join(''));
    expect((await stream.finalChatCompletion()).choices[0]!.finish_reason).toBe('stop');
  });

  it('withResponse and asResponse: headers that clients look for', async () => {
    const { response, request_id: id } = await client.chat.completions.create(asked).withResponse();
    expect(id).toMatch(/^req_\w{32}$/);
    expect(response.headers.get('content-type')).toMatch(/^application\/json/);
    const raw = await client.chat.completions.create({ ...asked, stream: true }).asResponse();
    expect(raw.headers.get('content-type')).toMatch(/^text\/event-stream/);
    expect(await raw.text()).toMatch(/data: \[DONE\]\n\n$/);
  });
});

describe('completions.create', () => {
  it.each<[string, object, string[]]>([
    ['a text', { prompt: 'uv', stop: 'z' }, ['wxy']],
    ['texts, n, max_tokens', { prompt: ['a', 'k'], n: 2, max_tokens: 2 }, ['bc', 'bc', 'lm', 'lm']],
    ['tokens', { prompt: [119, 120] }, ['yz']],
    ['echo', { prompt: 'xy', echo: true, best_of: 1, suffix: null, user: 'someone' }, ['xyz']],
    ['several stops', { prompt: 'a', stop: ['e', 'g'], logit_bias: { 0: 1 } }, ['bcd']],
  ])('%s: whole and streamed', async (_, fields, texts) => {
    const body = { model: 'fake', temperature: 0, ...fields } as OpenAI.CompletionCreateParamsNonStreaming;
    const answer = await client.completions.create(body);
    expect(answer.object).toBe('text_completion');
    expect(answer.choices.map(({ text }) => text)).toEqual(texts);
    const pieces = texts.map(() => '');
    let total = 0;
    const stream = await client.completions.create({ ...body, stream: true, stream_options: { include_usage: true } });
    for await (const { choices, usage } of stream) {
      for (const { index, text } of choices) pieces[index] += text;
      if (choices.length === 0) total = usage!.total_tokens;
    }
    expect([pieces, total]).toEqual([texts, answer.usage!.total_tokens]);
  });

  it('logprobs', async () => {
    const body = { model: 'fake', prompt: 'w', logprobs: 2, temperature: 0 };
    const {
      tokens,
      text_offset: offsets,
      top_logprobs: top,
    } = (await client.completions.create(body)).choices[0]!.logprobs!;
    expect([tokens, offsets]).toEqual([
      ['x', 'y', 'z'],
      [0, 1, 2],
    ]);
    expect(top!.every((one) => Object.keys(one).length === 2)).toBe(true);
  });
});

it('embeddings.create: both encodings, one text and several', async () => {
  const vector = Math.fround(0.1);
  const ask = (fields: { encoding_format?: 'float' | 'base64' } = {}) =>
    client.embeddings.create({ model: 'encoder', input: ['a', 'abc'], ...fields });
  const vectors = [
    [1, vector],
    [3, vector],
  ];
  for (const { data, usage } of [await ask(), await ask({ encoding_format: 'float' })]) {
    expect(data.map(({ embedding }) => embedding)).toEqual(vectors);
    expect(usage).toEqual({ prompt_tokens: 4, total_tokens: 4 });
  }
  const encoded = (await ask({ encoding_format: 'base64' })).data.map(({ embedding }) =>
    Buffer.from(String(embedding), 'base64'),
  );
  expect(encoded.map((one) => [one.readFloatLE(0), one.readFloatLE(4)])).toEqual(vectors);
  const one = await client.embeddings.create({ model: 'encoder', input: 'ab', dimensions: 2, user: 'someone' });
  expect(one.data).toHaveLength(1);
});

it('models: list, page by page, and retrieve', async () => {
  const ids: string[] = [];
  for await (const { id, object } of client.models.list()) ids.push(`${object} ${id}`);
  expect(ids).toEqual(['model fake', 'model encoder']);
  expect(await client.models.retrieve('fake')).toMatchObject({ id: 'fake', object: 'model' });
});

describe('what goes wrong', () => {
  const failure = (promise: Promise<unknown>): Promise<APIError> =>
    promise.then(
      () => {
        throw new Error('it did not fail');
      },
      (error: APIError) => error,
    );

  it.each<[string, object, typeof BadRequestError | typeof NotFoundError, object]>([
    ['an unknown model', { model: 'gpt' }, NotFoundError, { code: 'model_not_found', param: 'model' }],
    ['no messages', { messages: [] }, BadRequestError, { param: 'messages', type: 'invalid_request_error' }],
    [
      'a picture',
      { messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url: 'x' } }] }] },
      BadRequestError,
      { param: 'messages.0.content.0.type' },
    ],
    ['too hot', { temperature: 3 }, BadRequestError, { param: 'temperature' }],
    ['a key that is no token', { logit_bias: { foo: 0 } }, BadRequestError, { param: 'logit_bias.foo' }],
    ['the old form of tools', { functions: [{ name: 'now' }] }, BadRequestError, { param: 'functions' }],
    ['speech', { modalities: ['audio'] }, BadRequestError, { param: 'modalities.0' }],
    [
      'too long',
      { messages: [{ role: 'user', content: 'x'.repeat(100_001) }] },
      BadRequestError,
      { code: 'context_length_exceeded' },
    ],
  ])('%s', async (_, fields, type, details) => {
    const error = await failure(whole(fields));
    expect(error).toBeInstanceOf(type);
    expect(error).toMatchObject({ ...details, requestID: expect.stringMatching(/^req_/) });
  });

  it('a key, a host', async () => {
    const { baseURL } = await serving({ apiKey: 'sk-right' });
    const other = new OpenAI({ baseURL, apiKey: 'sk-wrong', maxRetries: 0 });
    expect(await failure(other.models.retrieve('fake'))).toBeInstanceOf(AuthenticationError);
    const foreign = client.withOptions({ defaultHeaders: { origin: 'https://example.org' } });
    expect(await failure(foreign.models.retrieve('fake'))).toBeInstanceOf(PermissionDeniedError);
  });

  it('a failure within a stream is thrown by the loop that reads it, and as a status where nothing was sent', async () => {
    state.isFailing = true;
    const error = await failure(streamed({ messages: [{ role: 'user', content: 'x'.repeat(35) }] }));
    expect(error).toMatchObject({ code: 'out_of_memory', type: 'server_error' });
    const retried = await failure(whole({ messages: [{ role: 'user', content: 'x'.repeat(35) }] }));
    expect(retried).toBeInstanceOf(InternalServerError);
    expect(retried.headers!.get('retry-after')).toBe('1');
  });

  it('abort and timeout: the place is free again', async () => {
    state.isSlow = true;
    const long = { ...asked, max_tokens: 90_000 };
    const late = await failure(client.chat.completions.create(long, { timeout: 80 }));
    expect(late).toBeInstanceOf(APIConnectionTimeoutError);
    const controller = new AbortController();
    const broken = failure(client.chat.completions.create(long, { signal: controller.signal }));
    setTimeout(() => controller.abort(), 40);
    expect(await broken).toBeInstanceOf(APIUserAbortError);
    const stream = await client.chat.completions.create({ ...long, stream: true });
    for await (const _ of stream) break;
    await vi.waitFor(() => expect(server.load.running).toBe(0), { timeout: 60_000 });
  });

  it('a full queue: 429 with retry-after, which the client waits for and then is answered', async () => {
    const { server: small, baseURL } = await serving({ slots: 1, queue: 0 });
    state.isSlow = true;
    const patient = new OpenAI({ baseURL, apiKey: 'none', maxRetries: 3 });
    const stream = await patient.chat.completions.create({ ...asked, max_tokens: 90_000, stream: true });
    await vi.waitFor(() => expect(small.load.running).toBe(1));
    const refused = await failure(patient.chat.completions.create(asked, { maxRetries: 0 }));
    expect(refused).toBeInstanceOf(RateLimitError);
    expect(Number(refused.headers!.get('retry-after'))).toBeGreaterThan(0);
    const answered = patient.chat.completions.create({ ...asked, max_tokens: 2 });
    setTimeout(() => stream.controller.abort(), 50);
    expect((await answered).choices[0]!.message.content).toHaveLength(2);
  });

  it('what no second try can mend is not tried again', async () => {
    const { baseURL } = await serving({ embedder: undefined });
    const asks = vi.fn<typeof fetch>(fetch);
    const eager = new OpenAI({ baseURL, apiKey: 'none', maxRetries: 2, fetch: asks });
    const error = await failure(eager.embeddings.create({ model: 'encoder', input: 'x' }));
    expect(error).toMatchObject({ status: 501, code: 'no_embedder' });
    expect(asks).toHaveBeenCalledTimes(1);
  });
});
