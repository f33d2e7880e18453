// SmolLM2 from its GGUF as published: every reference chat rendered, tokenised and answered as transformers did in float32.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { missingShared, sharedPath } from '@hip/testing';
import { openCheckpoint, type ChatMessage } from '@hip/checkpoints';
import { loadLanguageModel } from '../../src/model/load.ts';
import type { LanguageModel } from '../../src/model/language-model.ts';
import { createServer } from '../../src/serve.ts';

const goldens = sharedPath('goldens', 'smollm2');
const folder = sharedPath('models', 'smollm2-135m-instruct');
const GGUF = 'SmolLM2-135M-Instruct.Q4_1.gguf';
/** The reference's two likeliest tokens are nearer than what f16 arithmetic changes. */
const MARGIN = 0.05;

interface Turn {
  readonly prompt: string;
  readonly rendered: string;
  readonly input_ids: readonly number[];
  /** The stop id at the end, where it came within 64 tokens. */
  readonly greedy_ids: readonly number[];
  readonly margins: readonly number[];
  readonly text: string;
}

describe.skipIf(!goldens || !folder)(`SmolLM2${missingShared('goldens/smollm2')}`, () => {
  const { conversations } = (
    goldens ? JSON.parse(readFileSync(join(goldens, 'chats.json'), 'utf8')) : { conversations: [] }
  ) as { readonly conversations: readonly (readonly Turn[])[] };
  let model: LanguageModel;
  beforeAll(async () => {
    model = await loadLanguageModel(join(folder!, GGUF), { threads: 2, contextTokens: 2048 });
  });
  afterAll(() => model?.close());

  it('has eleven turns of reference', () => expect(conversations.flat()).toHaveLength(11));

  it.each(conversations.map((turns, i) => [i, turns] as const))('chat %i', async (_, turns) => {
    await using checkpoint = await openCheckpoint(join(folder!, GGUF));
    let chat = model.chat();
    const messages: ChatMessage[] = [];
    for (const turn of turns) {
      messages.push({ role: 'user', content: turn.prompt });
      const rendered = await checkpoint.renderChat(messages, { addGenerationPrompt: true });
      expect(rendered).toBe(turn.rendered);
      expect(model.tokenizer.encode(rendered, { addSpecialTokens: false })).toEqual(turn.input_ids);
      const held = chat.cachedTokens;
      const ids: number[] = [];
      const maxTokens = turn.greedy_ids.length;
      const answer = chat.send(turn.prompt, { maxTokens, temperature: 0, onToken: (id) => ids.push(id) });
      const text = await answer.text();
      if (answer.usage!.finishReason === 'stop-id') ids.push(model.generation.stopIds![0]!);
      const differs = turn.greedy_ids.findIndex((id, i) => ids[i] !== id);
      const equal = differs < 0 ? turn.greedy_ids.length : differs;
      expect(ids.slice(0, equal)).toEqual(turn.greedy_ids.slice(0, equal));
      expect(turn.margins[differs] ?? 0, `the reference's margin where token ${differs} differs`).toBeLessThan(MARGIN);
      expect(differs >= 0 || text === turn.text, text).toBe(true);
      expect(answer.usage).toMatchObject({ promptTokens: turn.input_ids.length });
      // All that was said is in the cache, but the answer's last token and what ends its turn.
      expect(answer.usage!.cachedTokens).toBeGreaterThanOrEqual(Math.max(0, held - 1));
      expect(chat.messages).toEqual([...messages, { role: 'assistant', content: text }]);
      messages.push({ role: 'assistant', content: turn.text });
      if (differs < 0) continue;
      // The next turn of the reference goes on from the reference's answer.
      chat.dispose();
      chat = model.chat({ messages });
    }
    chat.dispose();
  });

  it('served, calls a function: the template tells of none, the system message does', async () => {
    await using server = createServer(model, { names: ['smollm2'] });
    const parameters = { type: 'object', properties: { city: { type: 'string', maxLength: 20 } }, required: ['city'] };
    const weather = { name: 'get_weather', description: 'The weather in a city.', parameters };
    const body = {
      messages: [{ role: 'user', content: 'What is the weather in Paris?' }],
      tools: [{ type: 'function', function: weather }],
      tool_choice: 'required',
      parallel_tool_calls: false,
      temperature: 0,
      max_tokens: 80,
    };
    const headers = { 'content-type': 'application/json' };
    const request = new Request('http://localhost/v1/chat/completions', {
      method: 'POST',
      headers,
      body: JSON.stringify(body),
    });
    const response = await server.fetch(request);
    expect(response.status, await response.clone().text()).toBe(200);
    const { choices } = (await response.json()) as {
      choices: {
        finish_reason: string;
        message: { tool_calls: { function: { name: string; arguments: string } }[] };
      }[];
    };
    const [{ finish_reason, message }] = choices as [(typeof choices)[0]];
    expect([finish_reason, message.tool_calls.length]).toEqual(['tool_calls', 1]);
    expect(message.tool_calls[0]!.function.name).toBe('get_weather');
    expect(JSON.parse(message.tool_calls[0]!.function.arguments)).toEqual({ city: 'Paris' });
  });

  it('plans what it takes', async () => {
    const [small, large] = [await model.plan(512), await model.plan(8192)];
    expect(small.weights).toBe(model.memory.weights);
    expect(large.total).toBe(large.weights + large.cache + large.scratch);
    expect(large.cache).toBeGreaterThan(small.cache);
  });

  it('forks: both sides answer as one that never was', async () => {
    using chat = model.chat();
    await chat.send('Name a colour.', { maxTokens: 4 }).text();
    using other = chat.fork();
    const ask = (which: typeof chat) => which.send('And another?', { maxTokens: 6 }).text();
    const [a, b] = await Promise.all([ask(chat), ask(other)]);
    expect(a).toBe(b);
    expect(chat.undo()).toBe(true);
    expect(await ask(chat)).toBe(b);
  });
});
