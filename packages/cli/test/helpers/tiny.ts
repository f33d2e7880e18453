// Tiny checkpoints on disk, and data that they can learn: a run takes seconds.
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findFamily, saveFolder, weightSlots } from '@hip/checkpoints';
import { renderCheckpoint, SeededRandom, TransformerModel } from '@instatune/supernet';

const WORDS = ['good', 'bad', 'film', 'plot', 'long', 'dull', 'fine', 'a', 'the', 'was', 'and', 'not', 'very', 'quite'];
const VOCABULARY = [
  '[PAD]',
  '[UNK]',
  '[CLS]',
  '[SEP]',
  '[MASK]',
  ...WORDS,
  ...'abcdefghijklmnopqrstuvwxyz'.split('').flatMap((c) => [c, `##${c}`]),
];

export const newFolder = (): string => mkdtempSync(join(tmpdir(), 'tune-'));

/** A model with random weights in a folder. */
async function save(
  folder: string,
  raw: Record<string, unknown>,
  extra: Readonly<Record<string, string>> = {},
): Promise<string> {
  const config = findFamily(raw).readConfig(raw);
  const random = new SeededRandom(1);
  const values = new Map(
    weightSlots(config).map(({ name, shape, role }) => {
      const base = role === 'norm' && name.endsWith('.weight') ? 1 : 0;
      const size = shape.reduce((count, extent) => count * extent, 1);
      return [name, Float32Array.from({ length: size }, () => base + 0.4 * (random.next() - 0.5))] as const;
    }),
  );
  const model = new TransformerModel(config, values);
  const { files } = await renderCheckpoint(model);
  const texts = Object.entries(extra).map(([name, text]) => ({ name, chunks: [new TextEncoder().encode(text)] }));
  await saveFolder(folder, [...files, ...texts]);
  model.dispose();
  return folder;
}

/** A bare BERT of 3 layers · hidden 16 · 4 heads · FFN 32, with a tokenizer. */
export const tinyBert = (folder: string): Promise<string> =>
  save(
    folder,
    {
      architectures: ['BertModel'],
      model_type: 'bert',
      hidden_size: 16,
      num_hidden_layers: 3,
      num_attention_heads: 4,
      intermediate_size: 32,
      vocab_size: VOCABULARY.length,
      max_position_embeddings: 32,
      pad_token_id: 0,
    },
    { 'vocab.txt': VOCABULARY.join('\n'), 'README.md': '---\nlicense: apache-2.0\nlanguage: en\n---\n# tiny\n' },
  );

/** A Llama of 3 layers · hidden 16 · 4/2 heads · FFN 24, with a tokenizer. */
export const tinyLlama = (folder: string): Promise<string> =>
  save(
    folder,
    {
      architectures: ['LlamaForCausalLM'],
      model_type: 'llama',
      hidden_size: 16,
      num_hidden_layers: 3,
      num_attention_heads: 4,
      num_key_value_heads: 2,
      intermediate_size: 24,
      vocab_size: VOCABULARY.length,
      max_position_embeddings: 64,
      hidden_act: 'silu',
      tie_word_embeddings: true,
    },
    { 'vocab.txt': VOCABULARY.join('\n') },
  );

/** A ViT classifier of 2 layers for images of 8 × 8 pixels, with classes of its own. */
export const tinyVit = (folder: string): Promise<string> =>
  save(folder, {
    architectures: ['ViTForImageClassification'],
    model_type: 'vit',
    hidden_size: 16,
    num_hidden_layers: 2,
    num_attention_heads: 4,
    intermediate_size: 24,
    image_size: 8,
    patch_size: 4,
    num_channels: 3,
    id2label: { 0: 'dark', 1: 'light' },
    num_labels: 2,
  });

/** Rows of a table: good films and bad ones. */
export function reviews(count: number): readonly { readonly text: string; readonly label: string }[] {
  const random = new SeededRandom(3);
  return Array.from({ length: count }, (_, row) => {
    const words = Array.from({ length: 3 + random.integer(5) }, () => WORDS[2 + random.integer(WORDS.length - 2)]!);
    const label = row % 2 === 0 ? 'good' : 'bad';
    words.splice(random.integer(words.length), 0, label);
    return { text: words.join(' '), label };
  });
}

/** `sentence,verdict` in a file. */
export function reviewsCsv(folder: string, count = 120): string {
  const path = join(folder, 'train.csv');
  writeFileSync(
    path,
    `sentence,verdict\n${reviews(count)
      .map(({ text, label }) => `"${text}",${label}\n`)
      .join('')}`,
  );
  return path;
}

/** Sentences with works (`film`, `plot`) and moods (`good`, `very bad`) marked. */
export function tagged(count: number): readonly { readonly tokens: string[]; readonly tags: string[] }[] {
  return reviews(count).map(({ text }) => {
    const tokens = text.split(' ');
    const isMood = (word: string | undefined) => word === 'good' || word === 'bad';
    const tags = tokens.map((word, at) => {
      if (word === 'film' || word === 'plot') return 'B-WORK';
      if (word === 'very' && isMood(tokens[at + 1])) return 'B-MOOD';
      if (isMood(word)) return tokens[at - 1] === 'very' ? 'I-MOOD' : 'B-MOOD';
      return 'O';
    });
    return { tokens, tags };
  });
}

/** {@link tagged} in CoNLL-2003's form: word, part of speech, chunk, entity. */
export function taggedConll(folder: string, count = 120, name = 'train.conll'): string {
  const path = join(folder, name);
  const lines = tagged(count).map(({ tokens, tags }) =>
    tokens.map((word, at) => `${word} NN I-NP ${tags[at]}\n`).join(''),
  );
  writeFileSync(path, `-DOCSTART- -X- O O\n\n${lines.join('\n')}`);
  return path;
}

/** A text to read on. */
export function bookText(folder: string): string {
  const path = join(folder, 'book.txt');
  writeFileSync(
    path,
    reviews(400)
      .map(({ text }) => text)
      .join(' . '),
  );
  return path;
}

/** A folder of dark squares and one of light ones, half PNG and half JPEG. */
export async function imageFolders(folder: string, each = 20): Promise<string> {
  const { default: sharp } = await import('sharp');
  const random = new SeededRandom(5);
  for (const [name, level] of [
    ['dark', 40],
    ['light', 200],
  ] as const) {
    mkdirSync(join(folder, 'images', name), { recursive: true });
    for (let i = 0; i < each; i++) {
      const pixels = Buffer.from(Array.from({ length: 192 }, () => level + random.integer(30)));
      const image = sharp(pixels, { raw: { width: 8, height: 8, channels: 3 } });
      await (i % 2 === 0
        ? image.png().toFile(join(folder, 'images', name, `${i}.png`))
        : image.jpeg().toFile(join(folder, 'images', name, `${i}.jpg`)));
    }
  }
  return join(folder, 'images');
}
