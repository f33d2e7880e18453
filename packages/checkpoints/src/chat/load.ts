// Where a checkpoint keeps its chat template: chat_template.jinja, or tokenizer_config.json (a GGUF file's metadata stand for that).
import { CheckpointError } from '../errors.ts';
import type { CheckpointFiles } from '../files/files.ts';
import { optionalJson, optionalText } from '../files/files.ts';
import { createChatTemplate } from './template.ts';
import type { ChatTemplate, TemplateSources } from './template.ts';

/**
 * Reads the chat template of a checkpoint; undefined when it has none.
 *
 * @throws CheckpointError `chat-template`, `invalid-config`, and what reading the files throws
 *
 * @example
 * ```ts
 * import { folderFiles, loadChatTemplate } from '@hip/checkpoints';
 *
 * const template = await loadChatTemplate(folderFiles('./books-lm-6m'));
 * console.log(template === undefined); // => true
 * ```
 */
export async function loadChatTemplate(files: CheckpointFiles): Promise<ChatTemplate | undefined> {
  const config = (await optionalJson(files, 'tokenizer_config.json')) ?? {};
  const sources = (await ownFile(files)) ?? sourcesOf(config['chat_template']);
  return sources === undefined ? undefined : createChatTemplate(sources, specialTokens(config));
}

/** transformers 4.43 and later write the template as a file of its own, which then is the one. */
async function ownFile(files: CheckpointFiles): Promise<TemplateSources | undefined> {
  const jinja = await optionalText(files, 'chat_template.jinja');
  return jinja ?? sourcesOf((await optionalJson(files, 'chat_template.json'))?.['chat_template']);
}

/** One source, or a list of named ones. */
function sourcesOf(value: unknown): TemplateSources | undefined {
  if (value === undefined || value === null || typeof value === 'string') return value ?? undefined;
  if (Array.isArray(value)) {
    const entries = (value as readonly unknown[]).map((entry) => {
      const { name, template } = Object(entry) as { readonly name?: unknown; readonly template?: unknown };
      return typeof name === 'string' && typeof template === 'string' ? ([name, template] as const) : undefined;
    });
    if (entries.every((entry) => entry !== undefined)) return Object.fromEntries(entries);
  }
  throw new CheckpointError('chat-template', 'chat_template is neither a text nor a list of { name, template }', {
    value,
  });
}

/** Special tokens of tokenizer_config.json: texts, or objects that hold one. */
export function specialTokens(config: Readonly<Record<string, unknown>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(config).flatMap(([key, value]) => {
      if (!key.endsWith('_token')) return [];
      const text = typeof value === 'string' ? value : (Object(value) as { readonly content?: unknown }).content;
      return typeof text === 'string' ? [[key, text]] : [];
    }),
  );
}
