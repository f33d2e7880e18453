// Chat templates in GGUF metadata, as tokenizer_config.json has them.
import type { GgufMetadata } from './header.ts';

/** `tokenizer.chat_template`, and the named ones beside it. */
export function ggufTemplates(metadata: GgufMetadata): { name: string; template: string }[] | string | undefined {
  const text = (key: string) => {
    const value = metadata.get(key);
    return typeof value === 'string' ? value : undefined;
  };
  const main = text('tokenizer.chat_template');
  const names = metadata.get('tokenizer.chat_templates');
  const named = (Array.isArray(names) ? (names as readonly string[]) : []).flatMap((name) => {
    const template = text(`tokenizer.chat_template.${name}`);
    return template === undefined ? [] : [{ name, template }];
  });
  if (named.length === 0) return main;
  return main === undefined ? named : [{ name: 'default', template: main }, ...named];
}
