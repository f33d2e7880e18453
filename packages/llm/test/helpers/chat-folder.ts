// A tiny model of random weights with a byte tokenizer and a chat template, as a folder: all that a chat needs, loaded in no time.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { byteTokenizerJson, END, TEMPLATE, VOCABULARY } from './fake-model.ts';
import { tinyConfig, tinyModel } from './tiny.ts';

/** @param fields - of config.json; weights follow them @returns its path; removed when disposed of */
export async function chatFolder(
  fields: Readonly<Record<string, unknown>> = {},
): Promise<Disposable & { readonly path: string }> {
  const path = mkdtempSync(join(tmpdir(), 'hip-chat-'));
  const config = { vocab_size: VOCABULARY, num_hidden_layers: 2, eos_token_id: END, ...fields };
  const { files } = tinyModel(config, { seed: 3 });
  const write = (name: string, value: unknown) => writeFileSync(join(path, name), JSON.stringify(value));
  const weights = (await files.open('model.safetensors'))!;
  writeFileSync(join(path, 'model.safetensors'), await weights.read(0, weights.size));
  write('config.json', tinyConfig(config));
  write('tokenizer.json', byteTokenizerJson());
  write('tokenizer_config.json', { chat_template: TEMPLATE });
  write('generation_config.json', {
    do_sample: true,
    temperature: 0.9,
    eos_token_id: fields['eos_token_id'] ?? END,
    max_new_tokens: 24,
  });
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}
