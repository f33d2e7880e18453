// WordPiece vocabularies that come alone, one token a line, as BERT's first checkpoints do: the tokenizer.json they stand for.
import { CheckpointError } from '../errors.ts';
import { quoted } from '../quote.ts';

/**
 * tokenizer.json of a `vocab.txt`, with what tokenizer_config.json says of it.
 *
 * @throws CheckpointError `tokenizer` for a vocabulary without BERT's special tokens
 */
export function vocabTokenizer(text: string, config: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const lines = text.split(/\r?\n/);
  if (lines.at(-1) === '') lines.pop();
  const vocab = Object.fromEntries(lines.map((token, id) => [token, id]));
  const name = (key: string, fallback: string): string => {
    const value = config[key];
    const content = typeof value === 'string' ? value : (Object(value) as { readonly content?: unknown }).content;
    return typeof content === 'string' ? content : fallback;
  };
  const [unknown, cls, sep] = [name('unk_token', '[UNK]'), name('cls_token', '[CLS]'), name('sep_token', '[SEP]')];
  const missing = [unknown, cls, sep].find((token) => !Object.hasOwn(vocab, token));
  if (missing !== undefined) {
    const message = `vocab.txt has no token ${quoted(missing)}: it is read as BERT's WordPiece vocabulary; for another one give tokenizer.json`;
    throw new CheckpointError('tokenizer', message, { token: missing });
  }
  const special = [...new Set([name('pad_token', '[PAD]'), unknown, cls, sep, name('mask_token', '[MASK]')])];
  const marker = (id: string, type: number) => ({ SpecialToken: { id, type_id: type } });
  const sequence = (id: string, type: number) => ({ Sequence: { id, type_id: type } });
  const single = [marker(cls, 0), sequence('A', 0), marker(sep, 0)];
  const flag = (key: string, fallback: boolean) => (typeof config[key] === 'boolean' ? config[key] : fallback);
  return {
    version: '1.0',
    added_tokens: special.flatMap((content) =>
      Object.hasOwn(vocab, content) ? [{ id: vocab[content], content, special: true, normalized: false }] : [],
    ),
    normalizer: {
      type: 'BertNormalizer',
      clean_text: true,
      handle_chinese_chars: flag('tokenize_chinese_chars', true),
      strip_accents: typeof config['strip_accents'] === 'boolean' ? config['strip_accents'] : null,
      lowercase: flag('do_lower_case', true),
    },
    pre_tokenizer: { type: 'BertPreTokenizer' },
    post_processor: {
      type: 'TemplateProcessing',
      single,
      pair: [...single, sequence('B', 1), marker(sep, 1)],
      special_tokens: Object.fromEntries([cls, sep].map((id) => [id, { id, ids: [vocab[id]], tokens: [id] }])),
    },
    decoder: { type: 'WordPiece', prefix: '##', cleanup: true },
    model: {
      type: 'WordPiece',
      unk_token: unknown,
      continuing_subword_prefix: '##',
      max_input_chars_per_word: 100,
      vocab,
    },
  };
}
