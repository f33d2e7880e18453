// The small text files that travel with a checkpoint: what tokenises, generates and prepares.
import { optionalJson, optionalText, vocabTokenizer, type CheckpointFiles } from '@hip/checkpoints';

const NAMES = [
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'added_tokens.json',
  'vocab.txt',
  'vocab.json',
  'merges.txt',
  'chat_template.jinja',
  'generation_config.json',
  'preprocessor_config.json',
];

/** Name and text of each. A vocab.txt that comes alone gets the tokenizer.json that it stands for: transformers.js reads no other. */
export async function travellingFiles(source: CheckpointFiles | undefined): Promise<[name: string, text: string][]> {
  if (!source) return [];
  const found: [name: string, text: string][] = [];
  for (const name of NAMES) {
    const text = await optionalText(source, name);
    if (text !== undefined) found.push([name, text]);
  }
  const texts = new Map(found);
  const vocabulary = texts.get('vocab.txt');
  if (vocabulary === undefined || texts.has('tokenizer.json')) return found;
  const config = (await optionalJson(source, 'tokenizer_config.json')) ?? { tokenizer_class: 'BertTokenizer' };
  return [
    ...found,
    ['tokenizer.json', JSON.stringify(vocabTokenizer(vocabulary, config))],
    ...(texts.has('tokenizer_config.json')
      ? []
      : [['tokenizer_config.json', JSON.stringify(config)] as [string, string]]),
  ];
}
