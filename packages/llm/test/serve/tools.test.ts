// Tools through the server: what the model is told, calls as they come, results in the next turn; by both public clients.
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { createChatTemplate } from '@hip/checkpoints';
import { generateText, stepCountIs, streamText, tool } from 'ai';
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { saying } from '../helpers/fake-model.ts';
import { listening, type Listening } from '../helpers/listening.ts';
import { bytes, eventsOf, request, served } from '../helpers/serving.ts';
import { FOREIGN, LISTED, LLAMA, TAGGED } from '../helpers/tool-templates.ts';

const weather = {
  type: 'function' as const,
  function: {
    name: 'weather',
    description: 'The weather of a city.',
    parameters: {
      type: 'object',
      properties: { city: { type: 'string', maxLength: 10 } },
      required: ['city'],
      additionalProperties: false,
    },
  },
};
const messages = [{ role: 'user' as const, content: 'How is it in Paris?' }];
const PARIS = '{"name": "weather", "arguments": {"city": "Paris"}}';
const ROME = '{"name": "weather", "arguments": {"city": "Rome"}}';

describe('calls', () => {
  it.each([
    [
      'tagged',
      TAGGED,
      `I look.\n<tool_call>\n${PARIS}\n</tool_call>\n<tool_call>\n${ROME}\n</tool_call>`,
      'I look.',
      2,
    ],
    ['in a list', LISTED, `<tool_call>[${PARIS}, ${ROME}]</tool_call>`, null, 2],
    ["Llama 3's", LLAMA, PARIS.replace('arguments', 'parameters'), null, 1],
  ])('are read, whole and streamed: %s', async (_, template, answer, content, count) => {
    const { post, server } = await served({ template, follow: saying(bytes(answer)) });
    const asked = { messages, tools: [weather], temperature: 0 };
    const { body } = await post('/v1/chat/completions', asked);
    const [choice] = body.choices;
    expect(choice.finish_reason).toBe('tool_calls');
    expect(choice.message.content).toBe(content);
    expect(choice.message.tool_calls).toHaveLength(count);
    expect(choice.message.tool_calls[0]).toEqual({
      id: expect.stringMatching(/^call_\w{24}$/),
      type: 'function',
      function: { name: 'weather', arguments: '{"city":"Paris"}' },
    });
    const events = await eventsOf(await server.fetch(request('/v1/chat/completions', { ...asked, stream: true })));
    const deltas = events.flatMap((event) => event.choices?.[0]?.delta.tool_calls ?? []);
    expect(deltas.map(({ index, function: called }) => [index, JSON.parse(called.arguments).city])).toEqual(
      [
        [0, 'Paris'],
        [1, 'Rome'],
      ].slice(0, count),
    );
    expect(events.flatMap((event) => event.choices?.[0]?.delta.content ?? '').join('')).toBe(content ?? '');
  });

  it('are one where one alone is wanted, and none where none is', async () => {
    const { post, engine, tokenizer } = await served({
      template: TAGGED,
      follow: saying(bytes(`<tool_call>${PARIS}</tool_call><tool_call>${ROME}</tool_call>`)),
    });
    const one = await post('/v1/chat/completions', {
      messages,
      tools: [weather],
      temperature: 0,
      parallel_tool_calls: false,
    });
    expect(one.body.choices[0].message.tool_calls).toHaveLength(1);
    const seen: string[] = [];
    Object.assign(engine.options, { onStep: (ids: readonly number[]) => seen.push(tokenizer.decode(ids)) });
    const none = await post('/v1/chat/completions', {
      messages,
      tools: [weather],
      temperature: 0,
      tool_choice: 'none',
    });
    expect(none.body.choices[0].message.tool_calls).toBe(undefined);
    expect(seen[0]).not.toContain('weather');
  });

  it('and their results are part of the next prompt, as the template writes them', async () => {
    const { post, engine, tokenizer } = await served({ template: TAGGED, follow: saying(bytes('Sunny.')) });
    const seen: string[] = [];
    Object.assign(engine.options, {
      onStep: (ids: readonly number[]) => seen.push(tokenizer.decode(ids, { skipSpecialTokens: false })),
    });
    const call = { id: 'call_1', type: 'function', function: { name: 'weather', arguments: '{"city":"Paris"}' } };
    const history = [
      ...messages,
      { role: 'assistant', content: null, tool_calls: [call] },
      { role: 'tool', tool_call_id: 'call_1', content: '21 °C' },
    ];
    const { body } = await post('/v1/chat/completions', { messages: history, tools: [weather], temperature: 0 });
    expect(body.choices[0]).toMatchObject({ finish_reason: 'stop', message: { content: 'Sunny.' } });
    expect(seen[0]).toContain('"The weather of a city."');
    expect(seen[0]).toContain(
      '<tool_call>\n{"name": "weather", "arguments": {"city": "Paris"}}\n</tool_call><|im_end|>\n<|im_start|>tool\n21 °C<|im_end|>',
    );
  });

  it('are refused in words where they cannot be', async () => {
    const error = async (template: string | undefined, fields: object) => {
      const { post } = await served(template === undefined ? {} : { template });
      const { status, body } = await post('/v1/chat/completions', { messages, tools: [weather], ...fields });
      return [status, body.error.param, body.error.message];
    };
    expect(await error(undefined, {})).toEqual([400, 'tools', expect.stringMatching(/does not read tools/)]);
    expect(await error(FOREIGN, {})).toEqual([400, 'tools', expect.stringMatching(/not known/)]);
    const named = (name: string) => ({ tool_choice: { type: 'function', function: { name } } });
    expect(await error(TAGGED, named('other'))).toEqual([
      400,
      'tool_choice',
      expect.stringMatching(/no tool named other/),
    ]);
    expect(await error(TAGGED, { tools: [], tool_choice: 'required' })).toEqual([
      400,
      'tool_choice',
      expect.any(String),
    ]);
    expect(await error(TAGGED, { tools: [weather, weather] })).toEqual([
      400,
      'tools',
      expect.stringMatching(/two tools/),
    ]);
    const odd = { ...weather, function: { ...weather.function, parameters: { not: {} } } };
    expect(await error(TAGGED, { tools: [odd], tool_choice: 'required' })).toEqual([
      400,
      'tools',
      expect.stringMatching(/not: it cannot be held to/),
    ]);
    expect(await error(TAGGED, { tools: [{ type: 'web_search' }] })).toEqual([400, 'tools.0.type', expect.any(String)]);
  });
});

describe('clients, with a model of random weights that must call', () => {
  let on: Listening;
  beforeAll(async () => void (on = await listening({}, { template: await createChatTemplate(TAGGED) })));
  afterAll(() => on[Symbol.asyncDispose]());

  it('openai: required, named, streamed', async () => {
    const client = new OpenAI({ baseURL: on.baseURL, apiKey: 'none', maxRetries: 0 });
    const asked = { model: 'tiny', messages, tools: [weather], temperature: 1, seed: 2, max_tokens: 150 };
    for (const tool_choice of ['required' as const, { type: 'function' as const, function: { name: 'weather' } }]) {
      const { choices } = await client.chat.completions.create({ ...asked, tool_choice });
      const [call] = choices[0]!.message.tool_calls!;
      const called = call!.type === 'function' ? call!.function : undefined;
      expect([called!.name, typeof JSON.parse(called!.arguments).city]).toEqual(['weather', 'string']);
    }
    const final = await client.chat.completions.stream({ ...asked, tool_choice: 'required' }).finalChatCompletion();
    expect(final.choices[0]!.message.tool_calls!.length).toBeGreaterThanOrEqual(1);
  });

  it('the AI SDK: a tool is run, and its result goes on', async () => {
    const provider = createOpenAICompatible({ name: 'local', baseURL: on.baseURL });
    const cities: string[] = [];
    const tools = {
      weather: tool({
        description: 'The weather of a city.',
        inputSchema: z.object({ city: z.string().max(10) }),
        execute: async ({ city }) => (cities.push(city), '21 °C'),
      }),
    };
    const asked = {
      model: provider('tiny'),
      messages,
      tools,
      temperature: 1,
      seed: 4,
      maxOutputTokens: 80,
      maxRetries: 0,
    };
    const whole = await generateText({ ...asked, toolChoice: 'required', stopWhen: stepCountIs(2) });
    expect(whole.steps).toHaveLength(2);
    expect(whole.steps[0]!.toolResults[0]!.output).toBe('21 °C');
    expect(cities.length).toBeGreaterThanOrEqual(1);
    const streamed = streamText({ ...asked, toolChoice: { type: 'tool', toolName: 'weather' } });
    const calls = await streamed.toolCalls;
    expect(calls[0]).toMatchObject({ toolName: 'weather', input: { city: expect.any(String) } });
  });
});
