import { memoryFiles } from '@hip/checkpoints';
import { expect, it } from 'vitest';
import { travellingFiles } from '../../src/export/travelling-files.ts';

const bytes = (text: string) => new TextEncoder().encode(text);
const vocabulary = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', 'good', '##s'].join('\n');
const names = async (files: Readonly<Record<string, string>>) => {
  const source = memoryFiles(new Map(Object.entries(files).map(([name, text]) => [name, bytes(text)])));
  return Object.fromEntries(await travellingFiles(source));
};

it('a vocab.txt that comes alone gets the tokenizer.json that it stands for', async () => {
  const made = await names({ 'vocab.txt': vocabulary });
  expect(Object.keys(made)).toEqual(['vocab.txt', 'tokenizer.json', 'tokenizer_config.json']);
  expect(JSON.parse(made['tokenizer.json']!)).toMatchObject({
    model: { type: 'WordPiece', vocab: { good: 5, '##s': 6 } },
  });
  const cased = await names({ 'vocab.txt': vocabulary, 'tokenizer_config.json': '{"do_lower_case":false}' });
  expect(cased['tokenizer_config.json']).toBe('{"do_lower_case":false}');
  expect(JSON.parse(cased['tokenizer.json']!)).toMatchObject({ normalizer: { lowercase: false } });
});

it('what is there travels as it is', async () => {
  const files = { 'tokenizer.json': '{}', 'vocab.txt': 'a', 'preprocessor_config.json': '{"size":8}' };
  expect(await names({ ...files, 'README.md': '#' })).toEqual(files);
  expect(await travellingFiles(undefined)).toEqual([]);
});
