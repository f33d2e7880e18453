// A model and its tokenizer without the tokens that a corpus never uses.
import { createTokenizer, type CheckpointFiles, type ModelConfig, type TextTokenizer } from '@hip/checkpoints';
import { requireNoAdapters } from '../adapters/none.ts';
import { SupernetError } from '../errors.ts';
import { TransformerModel } from '../model/transformer.ts';
import type { ElasticModel } from '../model/types.ts';
import { cutTokenizer } from './cut-tokenizer.ts';
import type { TokenizerJson } from './cut-tokenizer.ts';
import { reportVocabulary } from './report.ts';

/** A model with a smaller vocabulary. */
export interface PrunedVocabulary {
  /** A copy with fewer rows of token embeddings and outputs; the caller disposes it. Extraction writes the new tokenizer with it. */
  readonly model: ElasticModel;
  readonly tokenizer: TextTokenizer;
  /** The new tokenizer.json. */
  readonly tokenizerJson: TokenizerJson;
  /** Old ids of the tokens that are left: the new id is the place in this list. */
  readonly kept: readonly number[];
}

/** config.json and generation_config.json keys that hold token ids. */
const ID_KEY = /(^|_)token_ids?$/;

/**
 * Cuts the vocabulary of a model down to what a corpus uses (and {@link cutTokenizer} keeps beside it): token embeddings, outputs of a language
 * model, tokenizer.json and every id in the configuration. Text of the corpus is encoded to the same tokens, under new ids, which is checked
 * text by text; other text may take more tokens, never other characters.
 *
 * @throws SupernetError `unsupported-model` in words where the tokenizer cannot be cut, or comes without a tokenizer.json;
 * `invalid-data` as `reportVocabulary`, `invalid-option` for a model with adapters
 *
 * @example
 * ```ts
 * import { loadCheckpoint, pruneVocabulary } from '@instatune/supernet';
 *
 * const { model: whole } = await loadCheckpoint('./books-lm-6m');
 * const { model: small, tokenizer: cut, kept } = await pruneVocabulary(whole, ['It was a dark and stormy night']);
 * console.log(small.config.vocabSize === kept.length, cut.decode(cut.encode('stormy night'))); // => true stormy night
 * small.dispose();
 * ```
 */
export async function pruneVocabulary(
  model: ElasticModel,
  texts: readonly string[],
  options: { readonly tokenizerJson?: TokenizerJson | undefined } = {},
): Promise<PrunedVocabulary> {
  requireNoAdapters(model, 'pruneVocabulary');
  const { config } = model;
  const json = options.tokenizerJson ?? (await readJson(model.source, 'tokenizer.json'));
  if (!json || config.vocabSize === 0) {
    const message = json
      ? `a ${model.family} model of images has no vocabulary`
      : 'the checkpoint has no tokenizer.json to cut: give options.tokenizerJson';
    throw new SupernetError('unsupported-model', message, { family: model.family });
  }
  const settings = (await readJson(model.source, 'tokenizer_config.json')) ?? {};
  const before = createTokenizer(json, settings);
  const special = Object.entries(config.raw).flatMap(([key, value]) =>
    ID_KEY.test(key) ? [value].flat().filter((id): id is number => typeof id === 'number') : [],
  );
  const { used } = reportVocabulary(before, texts, config.vocabSize);
  const inModel = [...used, ...special].filter((id) => id >= 0 && id < config.vocabSize);
  const cut = cutTokenizer(json, inModel);
  const kept = cut.kept.filter((id) => id < config.vocabSize);
  const newIds = new Map(kept.map((id, place) => [id, place]));
  // Where padding takes a row of the position table by its id, the id is more than a name.
  if (config.positionsSkipPadding && newIds.get(config.positionOffset - 1) !== config.positionOffset - 1) {
    const message = `padding is token ${config.positionOffset - 1} by the position table, and would become another: keep the tokens before it`;
    throw new SupernetError('unsupported-model', message, { padding: config.positionOffset - 1 });
  }
  const newSettings = renumberSettings(settings, newIds);
  const tokenizer = createTokenizer(cut.json, newSettings);
  requireSame(before, tokenizer, texts, newIds);
  const raw = renumberIds(config.raw, newIds);
  const { padTokenId } = config;
  const smaller: ModelConfig = {
    ...config,
    vocabSize: kept.length,
    ...(padTokenId !== undefined && { padTokenId: newIds.get(padTokenId) ?? padTokenId }),
    eosTokenIds: config.eosTokenIds.map((id) => newIds.get(id) ?? id),
    raw: { ...raw, vocab_size: kept.length },
  };
  const { generation } = model;
  const source = pruned(model.source, cut.json, newSettings, newIds);
  const values = await keptRows(model, kept);
  const newGeneration = generation && (renumberIds({ ...generation }, newIds) as typeof generation);
  const { layers, heads, ffn, hidden, groupHeads, skip } = model.space;
  const choices = { layers, heads, ffn, hidden, groupHeads, skip };
  return {
    model: new TransformerModel(smaller, values, choices, source, newGeneration),
    tokenizer,
    tokenizerJson: cut.json,
    kept,
  };
}

/** Weights with only the kept rows of token embeddings and columns of a language model's output. */
async function keptRows(model: ElasticModel, kept: readonly number[]): Promise<Map<string, Float32Array>> {
  const { config } = model;
  const isLanguageModel = config.head === 'causal-lm' || config.head === 'masked-lm';
  const values = new Map<string, Float32Array>();
  for (const { name, shape } of model.slots) {
    const data = (await model.weights.get(name)!.data()) as Float32Array;
    const isTable = name === 'embeddings.token.weight';
    const isOutput = isLanguageModel && (name === 'head.weight' || name === 'head.bias');
    if (!isTable && !isOutput) {
      values.set(name, data);
      continue;
    }
    const [rows, columns] = isTable ? shape : [shape.length > 1 ? shape[0] : 1, shape.at(-1)];
    const width = columns as number;
    if (isTable) {
      const table = new Float32Array(kept.length * width);
      for (const [place, id] of kept.entries()) table.set(data.subarray(id * width, (id + 1) * width), place * width);
      values.set(name, table);
    } else {
      const out = new Float32Array((rows as number) * kept.length);
      for (let row = 0; row < (rows as number); row++) {
        for (const [place, id] of kept.entries()) out[row * kept.length + place] = data[row * width + id] as number;
      }
      values.set(name, out);
    }
  }
  return values;
}

function requireSame(
  before: TextTokenizer,
  after: TextTokenizer,
  texts: readonly string[],
  newIds: ReadonlyMap<number, number>,
): void {
  for (const [text, content] of texts.entries()) {
    const [old, now] = [before.encode(content), after.encode(content)];
    if (old.length === now.length && old.every((id, i) => newIds.get(id) === now[i])) continue;
    const message = `text ${text} is encoded to other tokens by the cut tokenizer: it cannot be cut, keep the whole vocabulary`;
    throw new SupernetError('unsupported-model', message, { text });
  }
}

/** Token ids of a configuration under their new numbers. */
function renumberIds(
  raw: Readonly<Record<string, unknown>>,
  newIds: ReadonlyMap<number, number>,
): Record<string, unknown> {
  const of = (value: unknown): unknown =>
    typeof value === 'number' ? (newIds.get(value) ?? value) : Array.isArray(value) ? value.map(of) : value;
  const entries = Object.entries(raw).map(([key, value]) => [key, isIds(key) ? of(value) : value] as const);
  return Object.fromEntries(entries);
}

function isIds(key: string): boolean {
  return ID_KEY.test(key) || /TokenIds?$/.test(key);
}

/** tokenizer_config.json lists added tokens by id. */
function renumberSettings(
  settings: Readonly<Record<string, unknown>>,
  newIds: ReadonlyMap<number, number>,
): Readonly<Record<string, unknown>> {
  const listed = settings['added_tokens_decoder'];
  if (typeof listed !== 'object' || listed === null) return settings;
  const entries = Object.entries(listed).flatMap(([id, token]) => {
    const now = newIds.get(Number(id));
    return now === undefined ? [] : [[String(now), token] as const];
  });
  return { ...settings, added_tokens_decoder: Object.fromEntries(entries) };
}

/** The checkpoint's files with the new tokenizer in place of the old one's. */
function pruned(
  source: CheckpointFiles | undefined,
  json: TokenizerJson,
  settings: Readonly<Record<string, unknown>>,
  newIds: ReadonlyMap<number, number>,
): CheckpointFiles {
  const gone = ['vocab.txt', 'vocab.json', 'merges.txt', 'added_tokens.json', 'tokenizer.model'];
  const text = async (name: string): Promise<string | undefined> => {
    if (gone.includes(name)) return undefined;
    if (name === 'tokenizer.json') return `${JSON.stringify(json)}\n`;
    const old = await source?.text(name);
    if (old === undefined) return undefined;
    if (name === 'tokenizer_config.json') return `${JSON.stringify(settings, null, 2)}\n`;
    if (name !== 'generation_config.json') return old;
    return `${JSON.stringify(renumberIds(JSON.parse(old) as Record<string, unknown>, newIds), null, 2)}\n`;
  };
  return {
    location: source?.location ?? 'a model in memory',
    open: async () => undefined,
    text,
    ...(source?.list && {
      list: async () => (await source.list!()).filter((name) => !gone.includes(name)),
    }),
  };
}

async function readJson(
  files: CheckpointFiles | undefined,
  name: string,
): Promise<Readonly<Record<string, unknown>> | undefined> {
  const text = await files?.text(name);
  return text === undefined ? undefined : (JSON.parse(text) as Readonly<Record<string, unknown>>);
}
