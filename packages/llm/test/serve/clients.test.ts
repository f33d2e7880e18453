// The server as the public clients see it: openai of npm, and the AI SDK.
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { embedMany, generateText, streamText } from 'ai';
import OpenAI, { APIError, BadRequestError, NotFoundError } from 'openai';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { listening, type Listening } from '../helpers/listening.ts';

const embedder = {
  width: 4,
  maxTokens: 16,
  embed: async (texts: readonly string[]) => ({
    vectors: texts.map((text) => Float32Array.of(text.length, 1, 2, 3)),
    tokens: texts.map((text) => text.length),
  }),
};
const messages = [{ role: 'user' as const, content: 'Tell me of the sea.' }];

let on: Listening;
beforeAll(async () => void (on = await listening({ embedder: { name: 'encoder', embedder }, apiKey: 'sk-test' })));
afterAll(() => on[Symbol.asyncDispose]());

/** What the library answers. */
async function own(maxTokens: number): Promise<string> {
  using chat = on.model.chat();
  return await chat.send(messages[0]!.content, { temperature: 0, maxTokens }).text();
}

describe('openai of npm', () => {
  const client = () => new OpenAI({ baseURL: on.baseURL, apiKey: 'sk-test', maxRetries: 0 });

  it('lists models', async () => {
    const ids: string[] = [];
    for await (const model of client().models.list()) ids.push(model.id);
    expect(ids).toEqual(['tiny', 'encoder']);
    expect((await client().models.retrieve('tiny')).object).toBe('model');
  });

  it('completes chats, whole and streamed', async () => {
    const asked = { model: 'tiny', messages, temperature: 0, max_tokens: 30 };
    const whole = await client().chat.completions.create({ ...asked, logprobs: true, top_logprobs: 3 });
    expect(whole.choices[0]!.message.content).toBe(await own(30));
    expect(whole.choices[0]!.logprobs!.content!.length).toBe(whole.usage!.completion_tokens);
    const stream = await client().chat.completions.create({
      ...asked,
      stream: true,
      stream_options: { include_usage: true },
    });
    let text = '';
    let usage: OpenAI.CompletionUsage | null | undefined;
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta.content ?? '';
      usage = chunk.usage ?? usage;
    }
    expect(text).toBe(whole.choices[0]!.message.content);
    expect(usage).toMatchObject({ completion_tokens: whole.usage!.completion_tokens });
    const final = await client().chat.completions.stream(asked).finalChatCompletion();
    expect(final.choices[0]!.message.content).toBe(text);
  });

  it('completes texts', async () => {
    const whole = await client().completions.create({
      model: 'tiny',
      prompt: ['One', 'Two'],
      max_tokens: 5,
      temperature: 0,
    });
    expect(whole.choices.map(({ index }) => index)).toEqual([0, 1]);
    expect(whole.usage!.prompt_tokens).toBe(6);
    let text = '';
    for await (const chunk of await client().completions.create({
      model: 'tiny',
      prompt: 'One',
      max_tokens: 5,
      temperature: 0,
      stream: true,
    }))
      text += chunk.choices[0]?.text ?? '';
    expect(text).toBe(whole.choices[0]!.text);
  });

  it('embeds (asking for base64 by itself)', async () => {
    const { data, usage } = await client().embeddings.create({ model: 'encoder', input: ['ab', 'abc'] });
    expect(data.map(({ embedding }) => embedding)).toEqual([
      [2, 1, 2, 3],
      [3, 1, 2, 3],
    ]);
    expect(usage.prompt_tokens).toBe(5);
  });

  it('aborts', async () => {
    const asked = { model: 'tiny', messages, max_tokens: 1500, logit_bias: { 257: -100 } };
    const stream = await client().chat.completions.create({ ...asked, stream: true });
    for await (const _ of stream) break;
    stream.controller.abort();
    const controller = new AbortController();
    const whole = client().chat.completions.create(asked, { signal: controller.signal });
    setTimeout(() => controller.abort(), 30);
    await expect(whole).rejects.toThrow(/aborted/);
    await vi.waitFor(() => expect(on.server.load.running).toBe(0), { timeout: 60_000 });
  });

  it('is told what is wrong, in its own errors', async () => {
    const failure = async (promise: Promise<unknown>): Promise<APIError> => {
      const error: unknown = await promise.catch((thrown: unknown) => thrown);
      if (error instanceof APIError) return error;
      throw new Error('it did not fail', { cause: error });
    };
    const unknown = await failure(client().chat.completions.create({ model: 'gpt-5', messages }));
    expect(unknown).toBeInstanceOf(NotFoundError);
    expect(unknown).toMatchObject({ status: 404, code: 'model_not_found', param: 'model' });
    const wrong = await failure(client().chat.completions.create({ model: 'tiny', messages, temperature: 5 }));
    expect(wrong).toBeInstanceOf(BadRequestError);
    expect(wrong).toMatchObject({ param: 'temperature', type: 'invalid_request_error' });
    const key = await failure(
      new OpenAI({ baseURL: on.baseURL, apiKey: 'sk-other', maxRetries: 0 }).models.list().then((page) => page),
    );
    expect(key.status).toBe(401);
  });
});

describe('the AI SDK', () => {
  const provider = () =>
    createOpenAICompatible({ name: 'local', baseURL: on.baseURL, apiKey: 'sk-test', includeUsage: true });

  it('generates and streams text', async () => {
    const asked = { model: provider()('tiny'), messages, temperature: 0, maxOutputTokens: 30, maxRetries: 0 };
    const whole = await generateText(asked);
    expect(whole.text).toBe(await own(30));
    expect(whole.usage.outputTokens).toBeGreaterThan(0);
    const streamed = streamText(asked);
    let text = '';
    for await (const piece of streamed.textStream) text += piece;
    expect(text).toBe(whole.text);
    expect((await streamed.usage).outputTokens).toBe(whole.usage.outputTokens);
    expect(await streamed.finishReason).toBe(whole.finishReason);
  });

  it('embeds', async () => {
    const { embeddings } = await embedMany({ model: provider().embeddingModel('encoder'), values: ['ab', 'abc'] });
    expect(embeddings).toEqual([
      [2, 1, 2, 3],
      [3, 1, 2, 3],
    ]);
  });

  it('aborts', async () => {
    const controller = new AbortController();
    const streamed = streamText({
      model: provider()('tiny'),
      messages,
      maxOutputTokens: 1500,
      abortSignal: controller.signal,
      maxRetries: 0,
      onError: () => {},
    });
    for await (const _ of streamed.textStream) controller.abort();
    await vi.waitFor(() => expect(on.server.load.running).toBe(0), { timeout: 60_000 });
  });
});
