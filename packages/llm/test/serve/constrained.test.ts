// response_format and grammar through the server, as the public clients ask for them.
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { generateText, Output } from 'ai';
import OpenAI from 'openai';
import { zodResponseFormat } from 'openai/helpers/zod';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { z } from 'zod';
import { listening, type Listening } from '../helpers/listening.ts';
import { served } from '../helpers/serving.ts';

const Person = z.object({
  name: z.string().max(12),
  age: z.number().int().min(0).max(150),
  isMember: z.boolean().nullable(),
});
const messages = [{ role: 'user' as const, content: 'Who?' }];

let on: Listening;
beforeAll(async () => void (on = await listening()));
afterAll(() => on[Symbol.asyncDispose]());
const client = () => new OpenAI({ baseURL: on.baseURL, apiKey: 'none', maxRetries: 0 });

it('openai: a schema, parsed by its own helper, whole and streamed', async () => {
  const asked = {
    model: 'tiny',
    messages,
    max_tokens: 120,
    temperature: 1,
    seed: 1,
    response_format: zodResponseFormat(Person, 'person'),
  };
  const whole = await client().chat.completions.parse(asked);
  expect(Person.safeParse(whole.choices[0]!.message.parsed).success).toBe(true);
  const stream = client().chat.completions.stream(asked);
  expect((await stream.finalChatCompletion()).choices[0]!.message.parsed).toEqual(whole.choices[0]!.message.parsed);
});

it('openai: any object, complete though max_tokens ends it', async () => {
  for (const seed of [1, 2, 3]) {
    const asked = {
      model: 'tiny',
      messages,
      max_tokens: 20,
      temperature: 1,
      seed,
      response_format: { type: 'json_object' as const },
    };
    const { choices } = await client().chat.completions.create({ ...asked, logit_bias: { 125: -20, 257: -100 } });
    expect(JSON.parse(choices[0]!.message.content!)).toBeTypeOf('object');
    expect(choices[0]!.finish_reason).toMatch(/stop|length/);
  }
});

it('the AI SDK: an object of a schema', async () => {
  const provider = createOpenAICompatible({ name: 'local', baseURL: on.baseURL, supportsStructuredOutputs: true });
  const { output } = await generateText({
    model: provider('tiny'),
    messages,
    output: Output.object({ schema: Person }),
    maxOutputTokens: 150,
    temperature: 1,
    seed: 5,
    maxRetries: 0,
  });
  expect(Person.safeParse(output).success).toBe(true);
});

it('a grammar, for chats and for texts', async () => {
  const { post } = await served({ follow: () => 97 });
  const fields = { grammar: 'root ::= "b" | "ab" [x-z]', temperature: 0 };
  const chat = (await post('/v1/chat/completions', { messages, ...fields })).body.choices[0];
  expect(chat).toMatchObject({ finish_reason: 'stop', message: { content: 'abx' } });
  expect((await post('/v1/completions', { prompt: 'q', ...fields })).body.choices[0].text).toBe('abx');
});

it('says what it cannot hold to, before it answers', async () => {
  const { post, engine } = await served();
  const error = async (fields: object) => {
    const { status, body } = await post('/v1/chat/completions', { messages, stream: true, ...fields });
    return [status, body.error.param];
  };
  const format = (schema: unknown) => ({
    response_format: { type: 'json_schema', json_schema: { name: 'x', schema } },
  });
  expect(await error(format({ not: {} }))).toEqual([400, 'response_format']);
  expect(await error(format({ type: 'integer', minimum: 5, maximum: 4 }))).toEqual([400, 'response_format']);
  expect(await error({ ...format({ type: 'object' }), max_tokens: 1 })).toEqual([400, 'max_tokens']);
  expect(await error({ ...format({ type: 'object' }), stop: '}' })).toEqual([400, 'stop']);
  expect(await error({ grammar: 'root ::= (' })).toEqual([400, 'grammar']);
  expect(await error({ response_format: { type: 'xml' } })).toEqual([400, 'response_format.type']);
  expect(engine.computed).toBe(0);
});
