// POST /v1/chat/completions over an engine without arithmetic: forms, counts, reasons, errors.
import { describe, expect, it } from 'vitest';
import { END, hashed, saying } from '../helpers/fake-model.ts';
import { bytes, eventsOf, request, served, type Json } from '../helpers/serving.ts';

const user = (content: unknown) => [{ role: 'user', content }];

describe('chat completions', () => {
  it('answers as the library does, with counts and the reason it ended', async () => {
    const { post, model } = await served({ follow: saying(bytes('Hello there.')) });
    const { status, body } = await post('/v1/chat/completions', {
      model: 'fake',
      messages: user('Hi'),
      temperature: 0,
    });
    expect(status).toBe(200);
    expect(body).toMatchObject({
      object: 'chat.completion',
      model: 'fake',
      choices: [
        { index: 0, finish_reason: 'stop', logprobs: null, message: { role: 'assistant', content: 'Hello there.' } },
      ],
    });
    const chat = model.chat();
    const answer = chat.send('Hi', { temperature: 0 });
    await answer.text();
    const { promptTokens, generatedTokens } = answer.usage!;
    expect(body.usage).toMatchObject({
      prompt_tokens: promptTokens,
      completion_tokens: generatedTokens,
      total_tokens: promptTokens + generatedTokens,
    });
    expect(body.id).toMatch(/^chatcmpl-/);
    expect(Math.abs(body.created - Date.now() / 1000)).toBeLessThan(600);
  });

  it('streams the same, with usage where it is asked for, and ends with [DONE]', async () => {
    const { server, post } = await served({ follow: saying(bytes('naïve 🙂!')) });
    const asked = { messages: user('Hi'), temperature: 0 };
    const whole = await post('/v1/chat/completions', asked);
    const response = await server.fetch(
      request('/v1/chat/completions', { ...asked, stream: true, stream_options: { include_usage: true } }),
    );
    expect(response.headers.get('content-type')).toMatch(/^text\/event-stream/);
    const events = await eventsOf(response);
    expect(events.at(-1)).toBe('[DONE]');
    const chunks = events.slice(0, -1);
    expect(chunks[0].choices[0].delta).toEqual({ role: 'assistant', content: '' });
    const text = chunks.map(({ choices }) => choices[0]?.delta.content ?? '').join('');
    expect(text).toBe('naïve 🙂!');
    expect(chunks.map(({ choices }) => choices[0]?.finish_reason ?? null).filter(Boolean)).toEqual(['stop']);
    // Usage is null until the last chunk, which has no choices.
    expect(chunks.slice(0, -1).every(({ usage }) => usage === null)).toBe(true);
    expect(chunks.at(-1)).toMatchObject({ choices: [], usage: { prompt_tokens: whole.body.usage.prompt_tokens } });
    const plain = await eventsOf(await server.fetch(request('/v1/chat/completions', { ...asked, stream: true })));
    expect(plain.some((chunk) => chunk !== '[DONE]' && 'usage' in chunk)).toBe(false);
  });

  it('ends at max_tokens, at max_completion_tokens, and at stop strings that are not given', async () => {
    const { post } = await served({ follow: saying(bytes('one two three four')) });
    const ask = async (fields: object) =>
      (await post('/v1/chat/completions', { messages: user('Count'), temperature: 0, ...fields })).body;
    expect(await ask({ max_tokens: 3 })).toMatchObject({
      choices: [{ message: { content: 'one' }, finish_reason: 'length' }],
      usage: { completion_tokens: 3 },
    });
    expect((await ask({ max_completion_tokens: 5, max_tokens: 2 })).choices[0].message.content).toBe('one t');
    expect((await ask({ stop: 'three' })).choices[0]).toMatchObject({
      message: { content: 'one two ' },
      finish_reason: 'stop',
    });
    expect((await ask({ stop: ['four', 'two'] })).choices[0].message.content).toBe('one ');
  });

  it('reads parts, developers, tools and assistants as the template does', async () => {
    const { post, engine, tokenizer } = await served({ follow: saying(bytes('ok')) });
    const seen: string[] = [];
    Object.assign(engine.options, {
      onStep: (ids: readonly number[]) => seen.push(tokenizer.decode(ids, { skipSpecialTokens: false })),
    });
    const messages = [
      { role: 'developer', content: 'Be short.' },
      {
        role: 'user',
        content: [
          { type: 'text', text: 'One ' },
          { type: 'text', text: 'two' },
        ],
      },
      { role: 'assistant', content: 'three' },
      { role: 'user', content: 'Four' },
    ];
    await post('/v1/chat/completions', { messages });
    expect(seen[0]).toBe(
      '<|im_start|>system\nBe short.<|im_end|>\n<|im_start|>user\nOne two<|im_end|>\n<|im_start|>assistant\nthree<|im_end|>\n<|im_start|>user\nFour<|im_end|>\n<|im_start|>assistant\n',
    );
  });

  it('gives n choices with seeds of their own, the same for the same seed, from one reading of the prompt', async () => {
    const flat = () => new Float32Array(258).fill(0).fill(-Infinity, 0, 97).fill(-Infinity, 123);
    const { post, engine } = await served({ follow: flat });
    const messages = user('A question that is long enough to be shared by its choices.');
    const ask = async () =>
      (
        await post('/v1/chat/completions', {
          messages,
          n: 3,
          seed: 7,
          temperature: 1,
          top_p: 0.9,
          max_tokens: 12,
          logit_bias: { [END]: -100 },
        })
      ).body;
    const first = await ask();
    const texts = first.choices.map(({ message }: Json) => message.content);
    expect(new Set(texts).size).toBe(3);
    expect(first.choices.map(({ index }: Json) => index)).toEqual([0, 1, 2]);
    expect(first.usage.completion_tokens).toBe(36);
    // The prompt once, then 12 tokens a choice, of which the last is not read; each later choice reads the prompt's last token again.
    expect(engine.computed).toBe(first.usage.prompt_tokens + 3 * 11 + 2);
    const again = await ask();
    expect(again.choices.map(({ message }: Json) => message.content)).toEqual(texts);
  });

  it('reports log-probabilities of the model alone', async () => {
    const follow = (ids: readonly number[]) => {
      const logits = new Float32Array(258).fill(-20);
      logits[97] = Math.log(3);
      logits[98] = 0;
      if (ids.at(-1) === 97) logits[END] = 9;
      return logits;
    };
    const { post } = await served({ follow });
    const { body } = await post('/v1/chat/completions', {
      messages: user('x'),
      temperature: 0,
      logprobs: true,
      top_logprobs: 2,
      logit_bias: { 98: -50 },
    });
    const [first] = body.choices[0].logprobs.content;
    expect(first).toMatchObject({ token: 'a', bytes: [97] });
    expect(first.logprob).toBeCloseTo(Math.log(0.75), 4);
    expect(first.top_logprobs.map(({ token }: Json) => token)).toEqual(['a', 'b']);
  });

  it('makes what was said less likely where it is asked to', async () => {
    // Always the letter a, unless it is pushed down by more than 1.
    const follow = () => {
      const logits = new Float32Array(258);
      logits[97] = 3;
      logits[98] = 2;
      return logits;
    };
    const { post } = await served({ follow });
    const say = async (fields: object) =>
      (await post('/v1/chat/completions', { messages: user('x'), temperature: 0, max_tokens: 6, ...fields })).body
        .choices[0].message.content;
    expect(await say({})).toBe('aaaaaa');
    expect(await say({ presence_penalty: 1.5 })).toBe('abaaaa');
    expect(await say({ frequency_penalty: 0.6 })).toBe('aababa');
    expect(await say({ logit_bias: { 99: 50 } })).toBe('cccccc');
    expect(await say({ logit_bias: { 97: -100 } })).toBe('bbbbbb');
  });

  it.each([
    [{}, 'messages'],
    [{ messages: [] }, 'messages'],
    [{ messages: user('x'), temperature: 3 }, 'temperature'],
    [{ messages: user('x'), temperature: 'hot' }, 'temperature'],
    [{ messages: user('x'), top_p: 0 }, 'top_p'],
    [{ messages: user('x'), n: 0 }, 'n'],
    [{ messages: user('x'), n: 99 }, 'n'],
    [{ messages: user('x'), max_tokens: -1 }, 'max_tokens'],
    [{ messages: user('x'), stop: [''] }, 'stop.0'],
    [{ messages: user('x'), seed: 1.5 }, 'seed'],
    [{ messages: user('x'), logit_bias: { a: 1 } }, 'logit_bias.a'],
    [{ messages: user('x'), logprobs: true, top_logprobs: 21 }, 'top_logprobs'],
    [{ messages: user('x'), functions: [{ name: 'f' }] }, 'functions'],
    [{ messages: user('x'), functions: [{ name: 'f' }], function_call: 'auto' }, 'function_call'],
    [{ messages: user('x'), modalities: ['audio'] }, 'modalities.0'],
    [{ messages: [{ role: 'oracle', content: 'x' }] }, 'messages.0.role'],
    [{ messages: [{ role: 'user' }] }, 'messages.0.content'],
    [{ messages: user([{ type: 'image_url', image_url: { url: 'x' } }]) }, 'messages.0.content.0.type'],
    [{ messages: user('x'.repeat(200)) }, 'messages'],
    [
      { messages: [{ role: 'assistant', tool_calls: [{ function: { name: 'f', arguments: '[1' } }] }] },
      'messages.0.tool_calls.0.function.arguments',
    ],
  ])('refuses %j, naming the field', async (body, param) => {
    const { post, engine } = await served({ contextTokens: 128 });
    const answer = await post('/v1/chat/completions', body);
    expect(answer.status).toBe(400);
    expect(answer.body.error).toMatchObject({ type: 'invalid_request_error', param });
    expect(answer.body.error.message).not.toBe('');
    expect(engine.computed).toBe(0);
    expect(engine.live).toBe(0);
  });

  it('says that a prompt is too long in the words that clients look for', async () => {
    const { post } = await served({ contextTokens: 64 });
    const { status, body } = await post('/v1/chat/completions', { messages: user('x'.repeat(100)) });
    expect([status, body.error.code]).toEqual([400, 'context_length_exceeded']);
  });

  it('answers a failing engine with 500 that says nothing of it, in a stream too, and tells whoever runs it', async () => {
    const told: unknown[] = [];
    const onStep = () => {
      throw new TypeError('a secret');
    };
    const { post, server, engine } = await served({ onStep }, { onError: (error) => told.push(error.cause) });
    const { status, body } = await post('/v1/chat/completions', { messages: user('x') });
    expect([status, body.error.type]).toEqual([500, 'server_error']);
    expect(JSON.stringify(body)).not.toContain('secret');
    const events = await eventsOf(
      await server.fetch(request('/v1/chat/completions', { messages: user('x'), stream: true })),
    );
    expect(events.at(-1)).toMatchObject({ error: { type: 'server_error' } });
    expect(told).toEqual([expect.any(TypeError), expect.any(TypeError)]);
    expect(engine.live).toBe(0);
    expect(server.load.running).toBe(0);
  });
});

it('two conversations that differ are answered differently, side by side, as alone', async () => {
  const { post } = await served({ follow: hashed });
  const ask = async (text: string) =>
    (await post('/v1/chat/completions', { messages: user(text), temperature: 0, max_tokens: 20 })).body.choices[0]
      .message.content as string;
  const texts = Array.from({ length: 12 }, (_, index) => `Question ${index}, which begins as the others do`);
  const alone: string[] = [];
  for (const text of texts) alone.push(await ask(text));
  expect(new Set(alone).size).toBeGreaterThan(6);
  expect(await Promise.all(texts.map(ask))).toEqual(alone);
});
