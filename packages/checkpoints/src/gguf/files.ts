// A GGUF file as the small files of a Hugging Face checkpoint, so that what copies a tokenizer or reads a template finds one.
import type { RawConfig } from '../families/hf-config.ts';
import type { CheckpointFiles } from '../files/files.ts';
import type { GgufMetadata } from './header.ts';
import { ggufTemplates } from './templates.ts';
import { ggufTokenizer, tokenizerConfig } from './tokenizer.ts';

/** Ids that end a text, in generation_config.json's keys. */
function generationConfig(metadata: GgufMetadata): object | undefined {
  const ids = ['eos', 'eot', 'eom'].map((name) => metadata.get(`tokenizer.ggml.${name}_token_id`));
  const stops = [...new Set(ids.filter((id) => typeof id === 'number'))];
  return stops.length === 0 ? undefined : { eos_token_id: stops };
}

/**
 * config.json, generation_config.json, tokenizer.json and tokenizer_config.json (with the chat template) out of a GGUF file's metadata.
 *
 * @param files - where the GGUF lies
 * @param beside - whether files beside the GGUF belong to it and come first
 */
export function ggufFiles(
  files: CheckpointFiles,
  metadata: GgufMetadata,
  config: RawConfig,
  beside: boolean,
): CheckpointFiles {
  const own = (name: string): object | undefined => {
    if (name === 'config.json') return config;
    if (name === 'tokenizer.json') return ggufTokenizer(metadata)?.json;
    if (name === 'generation_config.json') return generationConfig(metadata);
    const template = name === 'tokenizer_config.json' ? ggufTemplates(metadata) : undefined;
    // The tokenizer's part may be of a kind that is not read; a template is one all the same.
    return name === 'tokenizer_config.json'
      ? { ...tokenizerConfig(metadata), ...(template && { chat_template: template }) }
      : undefined;
  };
  return {
    location: files.location,
    open: (name) => files.open(name),
    text: async (name) => {
      const found = beside ? await files.text(name) : undefined;
      if (found !== undefined) return found;
      const json = own(name);
      return json && `${JSON.stringify(json, null, 1)}\n`;
    },
  };
}
