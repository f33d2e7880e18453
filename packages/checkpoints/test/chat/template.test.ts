// Chat templates: as jinja2 renders them (test/fixtures/chat-templates.py), refusals and faults with codes, where templates are found.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadChatTemplate } from '../../src/chat/load.ts';
import { createChatTemplate } from '../../src/chat/template.ts';
import type { ChatMessage } from '../../src/chat/template.ts';
import type { CheckpointError } from '../../src/errors.ts';
import { openCheckpoint } from '../../src/checkpoint.ts';
import { memoryFiles } from '../../src/files/files.ts';
import { writeSafetensors } from '../../src/safetensors/safetensors.ts';

interface Case {
  readonly template: string;
  readonly messages: readonly ChatMessage[];
  readonly options: {
    readonly add_generation_prompt?: boolean;
    readonly tools?: readonly unknown[];
    readonly variables?: Readonly<Record<string, unknown>>;
  };
  readonly text?: string;
  readonly refused?: string;
}

const { templates, cases } = JSON.parse(
  readFileSync(join(import.meta.dirname, '../fixtures/chat-templates.json'), 'utf8'),
) as { readonly templates: Readonly<Record<string, string>>; readonly cases: readonly Case[] };
const TOKENS = { bos_token: '<s>', eos_token: '</s>' };
const HELLO: readonly ChatMessage[] = [{ role: 'user', content: 'Hello' }];

const files = (contents: Readonly<Record<string, unknown>>) =>
  memoryFiles(
    new Map(
      Object.entries(contents).map(([name, value]) => [
        name,
        value instanceof Uint8Array
          ? value
          : new TextEncoder().encode(typeof value === 'string' ? value : JSON.stringify(value)),
      ]),
    ),
  );

describe('createChatTemplate', () => {
  it.each(cases.map((one, i) => [`${one.template} ${i}`, one] as const))(
    'renders as jinja2 does: %s',
    async (_, one) => {
      const template = await createChatTemplate(templates[one.template]!, TOKENS);
      const { add_generation_prompt: addGenerationPrompt, ...options } = one.options;
      const render = async () => template.render(one.messages, { addGenerationPrompt, ...options });
      const result = await render().catch((error: unknown) => (error as CheckpointError).details['reason']);
      expect(result).toBe(one.text ?? one.refused);
    },
  );

  it('takes the tool_use template for tools', async () => {
    const template = await createChatTemplate({ default: 'd', tool_use: 't{{ tools | length }}' });
    expect([template.render(HELLO), template.render(HELLO, { tools: [{}, {}] })]).toEqual(['d', 't2']);
    await expect((async () => (await createChatTemplate({ rag: 'x' })).render(HELLO))()).rejects.toMatchObject({
      code: 'chat-template',
      details: { names: ['rag'] },
    });
  });

  it('types what is wrong', async () => {
    await expect(createChatTemplate('{% for %}')).rejects.toMatchObject({ code: 'chat-template' });
    const template = await createChatTemplate('{{ nothing(messages) }}');
    const refusing = await createChatTemplate("{{ raise_exception('no ' + messages[0].role) }}");
    const failure = (action: () => string): unknown => {
      try {
        return action();
      } catch (error) {
        return error;
      }
    };
    const nameless = [{ content: 'x' } as unknown as ChatMessage];
    expect(failure(() => template.render(HELLO))).toMatchObject({ code: 'chat-template' });
    expect(failure(() => refusing.render(HELLO))).toMatchObject({
      code: 'chat-template',
      details: { reason: 'no user' },
    });
    expect(failure(() => template.render([]))).toMatchObject({ code: 'chat-template' });
    expect(failure(() => template.render(nameless))).toMatchObject({ code: 'chat-template', details: { index: 0 } });
  });
});

describe('loadChatTemplate', () => {
  it('finds the template where transformers writes it', async () => {
    const config = {
      bos_token: { content: '<s>', special: true },
      eos_token: '</s>',
      chat_template: '{{ bos_token }}config',
    };
    const named = [
      { name: 'default', template: 'named' },
      { name: 'tool_use', template: 'tools' },
    ];
    const at = async (contents: Readonly<Record<string, unknown>>) =>
      (await loadChatTemplate(files(contents)))?.render(HELLO);
    expect(await at({ 'tokenizer_config.json': config })).toBe('<s>config');
    expect(await at({ 'tokenizer_config.json': config, 'chat_template.jinja': 'own{{ eos_token }}' })).toBe('own</s>');
    expect(await at({ 'chat_template.json': { chat_template: 'json' } })).toBe('json');
    expect(await at({ 'tokenizer_config.json': { ...config, chat_template: named } })).toBe('named');
    expect(await at({ 'tokenizer_config.json': {} })).toBeUndefined();
    await expect(at({ 'tokenizer_config.json': { chat_template: 7 } })).rejects.toMatchObject({
      code: 'chat-template',
    });
  });

  it('says when a checkpoint has none', async () => {
    const config = {
      model_type: 'llama',
      hidden_size: 4,
      num_attention_heads: 1,
      num_hidden_layers: 1,
      intermediate_size: 4,
      vocab_size: 4,
    };
    await using checkpoint = await openCheckpoint(
      files({ 'config.json': config, 'model.safetensors': writeSafetensors([]) }),
    );
    expect(await checkpoint.chatTemplate()).toBeUndefined();
    expect(await checkpoint.generation()).toBeUndefined();
    await expect(checkpoint.renderChat(HELLO)).rejects.toMatchObject({ code: 'chat-template' });
  });
});
