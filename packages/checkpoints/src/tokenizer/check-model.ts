// The vocabulary of tokenizer.json before it is used: texts with ids that are ids, merges of tokens that there are.
import { quoted } from '../quote.ts';
import { isId } from './added-tokens.ts';
import { compilePattern, requirePart, wrong } from './patterns.ts';
import type { Part } from './patterns.ts';

/** Checks `model` and the patterns of `decoder`. @throws CheckpointError `tokenizer` */
export function checkModel(json: Part): void {
  const model = requirePart(json['model'], 'model');
  const { vocab } = model;
  if (Array.isArray(vocab)) checkScores(vocab, model);
  else {
    const ids = requirePart(vocab, 'model.vocab');
    const tokens = checkIds(ids);
    if (model['merges'] !== undefined) checkMerges(model, tokens);
  }
  checkDecoder(json['decoder']);
}

/** @returns the tokens */
function checkIds(vocab: Part): ReadonlySet<string> {
  const tokens = new Set<string>();
  const seen = new Map<unknown, string>();
  for (const [token, id] of Object.entries(vocab)) {
    if (!isId(id))
      throw wrong(`the token ${quoted(token)} has the id ${quoted(id)}, expected an integer ≥ 0`, { token, id });
    const other = seen.get(id);
    if (other !== undefined)
      throw wrong(`the tokens ${quoted(other)} and ${quoted(token)} both have the id ${quoted(id)}`, { token, id });
    seen.set(id, token);
    tokens.add(token);
  }
  return tokens;
}

function checkScores(vocab: readonly unknown[], model: Part): void {
  for (const [index, entry] of vocab.entries()) {
    const [token, score] = (Array.isArray(entry) ? entry : []) as readonly unknown[];
    if (typeof token === 'string' && typeof score === 'number' && Number.isFinite(score)) continue;
    throw wrong(`entry ${index} of the vocabulary is ${quoted(entry)}, expected a token and its score`, { index });
  }
  const { unk_id: unknown } = model;
  if (unknown === undefined || unknown === null || (isId(unknown) && (unknown as number) < vocab.length)) return;
  throw wrong(`unk_id is ${quoted(unknown)}, the vocabulary has ${vocab.length} tokens`, { unknown });
}

function checkMerges(model: Part, tokens: ReadonlySet<string>): void {
  const { merges } = model;
  if (!Array.isArray(merges)) throw wrong(`merges is ${quoted(merges)}, expected a list`);
  const prefix = model['continuing_subword_prefix'];
  for (const [index, merge] of (merges as readonly unknown[]).entries()) {
    const pair: unknown = typeof merge === 'string' ? merge.split(' ') : merge;
    if (!Array.isArray(pair) || pair.length !== 2 || !pair.every((token) => typeof token === 'string')) {
      throw wrong(`merge ${index} is ${quoted(merge)}, expected two tokens`, { index });
    }
    const [left, right] = pair as [string, string];
    if (typeof prefix === 'string' && prefix !== '') continue;
    const missing = [left, right, left + right].find((token) => !tokens.has(token));
    if (missing !== undefined)
      throw wrong(`merge ${index} makes or takes ${quoted(missing)}, which is no token`, { index, token: missing });
  }
}

function checkDecoder(json: unknown): void {
  if (json === undefined || json === null) return;
  const decoder = requirePart(json, 'decoder');
  if (decoder['pattern'] !== undefined) compilePattern(decoder['pattern']);
  const { decoders } = decoder;
  if (Array.isArray(decoders)) for (const entry of decoders as readonly unknown[]) checkDecoder(entry);
}
