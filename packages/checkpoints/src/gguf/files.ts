// A GGUF file as the small files of a Hugging Face checkpoint, so that what copies a tokenizer or reads a template finds one.
import type { RawConfig } from '../families/hf-config.ts';
import type { CheckpointFiles } from '../files/files.ts';
import type { GgufMetadata } from './header.ts';
import { ggufTokenizer } from './tokenizer.ts';

/**
 * config.json, tokenizer.json and tokenizer_config.json out of a GGUF file's metadata.
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
    return name === 'tokenizer_config.json' ? ggufTokenizer(metadata)?.config : undefined;
  };
  return {
    ...files,
    text: async (name) => {
      const found = beside ? await files.text(name) : undefined;
      if (found !== undefined) return found;
      const json = own(name);
      return json && `${JSON.stringify(json, null, 1)}\n`;
    },
  };
}
