// The form of a template's calls, seen by rendering.
import { readFileSync } from 'node:fs';
import { createChatTemplate } from '@hip/checkpoints';
import { missingShared, sharedPath } from '@hip/testing';
import { describe, expect, it } from 'vitest';
import { Grammar } from '../../src/constrain/grammar.ts';
import { NetworkBuilder } from '../../src/constrain/network.ts';
import { toolFormat } from '../../src/tools/format.ts';
import type { Tool } from '../../src/tools/types.ts';
import { TEMPLATE } from '../helpers/fake-model.ts';
import { TREE, writeRandomly } from '../helpers/random-writer.ts';
import { FOREIGN, LISTED, LLAMA, TAGGED } from '../helpers/tool-templates.ts';

const formatOf = async (source: string) => toolFormat(await createChatTemplate(source));
const tools: Tool[] = [
  {
    type: 'function',
    function: {
      name: 'weather',
      parameters: {
        type: 'object',
        properties: { city: { type: 'string', maxLength: 8 }, days: { type: 'integer', minimum: 1, maximum: 7 } },
        required: ['city'],
      },
    },
  },
  { type: 'function', function: { name: 'now' } },
];

describe('a template', () => {
  it('shows its form', async () => {
    expect((await formatOf(TAGGED)).name).toBe('tool-call');
    expect((await formatOf(LISTED)).name).toBe('tool-call-list');
    expect((await formatOf(LLAMA)).name).toBe('llama3');
  });

  it('that does not read tools, or in a form that is not known, is refused in words', async () => {
    await expect(formatOf(TEMPLATE)).rejects.toThrow(/does not read tools/);
    await expect(formatOf(FOREIGN)).rejects.toThrow(/form that is not known/);
  });

  const SMOLLM2 = 'models/smollm2-135m-instruct/tokenizer_config.json';
  it.skipIf(!sharedPath())(
    `of SmolLM2 does not write tools: the system message does${missingShared(SMOLLM2)}`,
    async () => {
      const { chat_template: source } = JSON.parse(readFileSync(sharedPath(SMOLLM2)!, 'utf8')) as {
        chat_template: string;
      };
      const template = await createChatTemplate(source);
      const format = toolFormat(template);
      expect(format.name).toBe('tool-call-list');
      const call = { type: 'function', function: { name: 'now', arguments: { zone: 'UTC' } } };
      const messages = [
        { role: 'user', content: 'When?' },
        { role: 'assistant', content: '', tool_calls: [call] },
        { role: 'tool', content: 'Noon.' },
      ];
      const now = tools.slice(1);
      const told = `You can call these functions:
<tools>[{"name":"now"}]</tools>

To call some of them, answer with a list of calls and nothing else:
<tool_call>[{"name": "function_name", "arguments": {"argument_name": "value"}}]</tool_call>
Where none of them helps, answer in words.<|im_end|>
`;
      const rest = `<|im_start|>user
When?<|im_end|>
<|im_start|>assistant
<tool_call>[{"name": "now", "arguments": {"zone":"UTC"}}]</tool_call><|im_end|>
<|im_start|>tool
Noon.<|im_end|>
<|im_start|>assistant
`;
      const rendered = (all: typeof messages) =>
        template.render(format.messages(all, now), { addGenerationPrompt: true });
      expect(rendered(messages)).toBe(`<|im_start|>system\n${told}${rest}`);
      const led = [{ role: 'system', content: 'Be brief.' }, ...messages];
      expect(rendered(led)).toBe(`<|im_start|>system\nBe brief.\n\n${told}${rest}`);
      // Without tools the template's own system message stays.
      expect(format.messages(messages.slice(0, 1))).toEqual(messages.slice(0, 1));
    },
  );

  it('of Llama 3 is given one call an answer, each with what it returned', async () => {
    const call = (id: string) => ({ type: 'function', id, function: { name: 'now', arguments: { zone: id } } });
    const told = (id: string, content: string) => ({ role: 'tool', tool_call_id: id, content });
    const messages = [
      { role: 'user', content: 'When?' },
      { role: 'assistant', content: 'Let me see.', tool_calls: [call('a'), call('b'), call('c')] },
      told('b', 'Two.'),
      told('a', 'One.'),
      { role: 'user', content: 'And now?' },
    ];
    const format = await formatOf(LLAMA);
    expect(format.messages(messages)).toEqual([
      messages[0],
      { role: 'assistant', content: 'Let me see.', tool_calls: [call('a')] },
      told('a', 'One.'),
      { role: 'assistant', content: '', tool_calls: [call('b')] },
      told('b', 'Two.'),
      { role: 'assistant', content: '', tool_calls: [call('c')] },
      messages[4],
    ]);
    const single = [{ role: 'assistant', content: '', tool_calls: [call('a')] }, told('a', 'One.')];
    expect(format.messages(single)).toEqual(single);
  });

  it('that does not write earlier calls has them in the text', async () => {
    const call = { type: 'function', function: { name: 'now', arguments: { zone: 'UTC' } } };
    const messages = [
      { role: 'user', content: 'When?' },
      { role: 'assistant', content: '', tool_calls: [call] },
    ];
    expect((await formatOf(TAGGED)).messages(messages)).toBe(messages);
    const [, written] = (await formatOf(LISTED)).messages(messages);
    expect(written).toEqual({
      role: 'assistant',
      content: '<tool_call>[{"name": "now", "arguments": {"zone":"UTC"}}]</tool_call>',
    });
  });
});

it.each([
  ['tool-call', TAGGED],
  ['tool-call-list', LISTED],
  ['llama3', LLAMA],
])('calls that must be written are read back, with arguments that fit: %s', async (_, source) => {
  const format = await formatOf(source);
  const builder = new NetworkBuilder();
  builder.rule('root', () => format.calls(tools, false));
  const grammar = new Grammar(builder.build(), TREE);
  let most = 0;
  for (let seed = 0; seed < 15; seed++) {
    const { text } = writeRandomly(grammar, grammar.leastTokens + 25 * seed, seed);
    const reader = format.reader(tools);
    const pieces = [...reader.push(text), ...reader.end()];
    const calls = pieces.flatMap((piece) => (piece.type === 'call' ? [piece.call] : []));
    expect(calls.length, text).toBe(pieces.length);
    most = Math.max(most, calls.length);
    for (const { name, arguments: args } of calls) {
      const { city, days = 1, ...rest } = JSON.parse(args);
      expect(Object.keys(rest)).toEqual([]);
      expect(name === 'weather' ? typeof city : city).toBe(name === 'weather' ? 'string' : undefined);
      expect(days >= 1 && days <= 7).toBe(true);
    }
  }
  expect(most > 1).toBe(format.name !== 'llama3');
});
