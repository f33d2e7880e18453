// tokenizer.json with fewer tokens, which encodes as before whatever needs none of those that are gone.
import { SupernetError } from '../errors.ts';

/** tokenizer.json as parsed. */
export type TokenizerJson = Readonly<Record<string, unknown>>;

/** A smaller tokenizer.json. */
export interface CutTokenizer {
  readonly json: Record<string, unknown>;
  /** Old ids of what is kept, ascending: the new id is the place in this list. */
  readonly kept: readonly number[];
}

type Vocabulary = Readonly<Record<string, number>>;
type Merge = readonly [left: string, right: string];

/**
 * Leaves out tokens that are not in `used`. Kept beside them: added and special tokens, the alphabet (single characters and bytes, so that other
 * texts still have tokens), the unknown token, and of byte-pair encoding every token that the merges of a kept one are made of, with those merges
 * in their order: no text of kept tokens can then be merged in another way (Sennrich 2016, §3.2: the first merge in order that applies is taken).
 * WordPiece takes the longest token that fits, and Unigram the likeliest path: neither is changed by candidates that were not taken.
 *
 * @throws SupernetError `unsupported-model` in words where it cannot be cut: another kind of model, byte-pair encoding with drop-out
 */
export function cutTokenizer(json: TokenizerJson, used: Iterable<number>): CutTokenizer {
  const model = (json['model'] ?? {}) as Readonly<Record<string, unknown>>;
  const kind = kindOf(model);
  if (kind === 'BPE' && typeof model['dropout'] === 'number' && model['dropout'] > 0) {
    throw refused(`its byte-pair encoding drops merges at random (dropout ${model['dropout']})`);
  }
  const added = listOf(json['added_tokens']) as readonly { readonly id: number; readonly content: string }[];
  const pieces = kind === 'Unigram' ? (listOf(model['vocab']) as readonly (readonly [string, number])[]) : [];
  const vocabulary: Vocabulary =
    kind === 'Unigram' ? Object.fromEntries(pieces.map(([token], id) => [token, id])) : (model['vocab'] as Vocabulary);
  const kept = new Set<number>([...used, ...added.map(({ id }) => id), ...alwaysKept(kind, model, vocabulary, pieces)]);
  const merges = kind === 'BPE' ? mergesOf(model['merges']) : [];
  if (kind === 'BPE') keepParts(kept, vocabulary, merges);
  const ids = [...kept].sort((a, b) => a - b);
  const newIds = new Map(ids.map((id, place) => [id, place]));
  const isKept = (token: string): boolean => kept.has(vocabulary[token] ?? -1);
  const cut: Record<string, unknown> = { ...model };
  if (kind === 'Unigram') {
    cut['vocab'] = pieces.filter((_, id) => kept.has(id));
    if (typeof model['unk_id'] === 'number') cut['unk_id'] = newIds.get(model['unk_id']);
  } else {
    const entries = Object.entries(vocabulary).filter(([, id]) => kept.has(id));
    cut['vocab'] = Object.fromEntries(entries.map(([token, id]) => [token, newIds.get(id)]));
  }
  if (kind === 'BPE') {
    const raw = listOf(model['merges']);
    cut['merges'] = raw.filter((_, i) => {
      const [left, right] = merges[i] as Merge;
      return isKept(left) && isKept(right) && isKept(mergedOf(vocabulary, left, right));
    });
  }
  const renumbered = {
    ...json,
    model: cut,
    added_tokens: added.map((token) => ({ ...token, id: newIds.get(token.id) })),
  };
  return { json: withIds(renumbered, newIds), kept: ids };
}

function kindOf(model: Readonly<Record<string, unknown>>): 'BPE' | 'WordPiece' | 'WordLevel' | 'Unigram' {
  const { type, vocab } = model as { readonly type?: unknown; readonly vocab?: unknown };
  // Older files do not say.
  const kind = type ?? (Array.isArray(model['merges']) ? 'BPE' : Array.isArray(vocab) ? 'Unigram' : 'WordPiece');
  if (kind === 'BPE' || kind === 'WordPiece' || kind === 'WordLevel' || kind === 'Unigram') return kind;
  throw refused(`its model is ${JSON.stringify(kind)}, expected BPE, WordPiece, WordLevel or Unigram`);
}

function refused(reason: string): SupernetError {
  return new SupernetError('unsupported-model', `this tokenizer cannot be cut: ${reason}. Keep the whole vocabulary`, {
    reason,
  });
}

/** Tokens that stay whatever the corpus: the alphabet, what stands for unknown text, and Unigram's measure of that. */
function alwaysKept(
  kind: string,
  model: Readonly<Record<string, unknown>>,
  vocabulary: Vocabulary,
  pieces: readonly (readonly [string, number])[],
): number[] {
  const unknown = model['unk_token'];
  const prefix = kind === 'WordPiece' ? ((model['continuing_subword_prefix'] as string | undefined) ?? '##') : '';
  const isSingle = (token: string): boolean => {
    const bare = prefix && token.startsWith(prefix) ? token.slice(prefix.length) : token;
    return Array.from(bare).length === 1 || /^<0x[0-9A-F]{2}>$/.test(token) || token === unknown;
  };
  const kept = Object.entries(vocabulary).flatMap(([token, id]) => (isSingle(token) ? [id] : []));
  if (kind !== 'Unigram') return kept;
  // Text without tokens is as unlikely as the least likely token and a fixed step more.
  const least = pieces.reduce((at, [, score], id) => (score < (pieces[at]?.[1] ?? Infinity) ? id : at), 0);
  return [...kept, least, ...(typeof model['unk_id'] === 'number' ? [model['unk_id']] : [])];
}

/** Adds what the merges of kept tokens are made of, until nothing is missing. */
function keepParts(kept: Set<number>, vocabulary: Vocabulary, merges: readonly Merge[]): void {
  const made = new Map<number, Merge[]>();
  for (const merge of merges) {
    const id = vocabulary[mergedOf(vocabulary, ...merge)];
    if (id !== undefined) made.set(id, [...(made.get(id) ?? []), merge]);
  }
  const open = [...kept];
  for (let id = open.pop(); id !== undefined; id = open.pop()) {
    for (const part of (made.get(id) ?? []).flat()) {
      const partId = vocabulary[part];
      if (partId === undefined || kept.has(partId)) continue;
      kept.add(partId);
      open.push(partId);
    }
  }
}

/** What a merge makes: both parts, the second without a prefix of continuation. */
function mergedOf(vocabulary: Vocabulary, left: string, right: string): string {
  const whole = left + right;
  if (Object.hasOwn(vocabulary, whole) || !right.startsWith('##')) return whole;
  return left + right.slice(2);
}

function mergesOf(merges: unknown): Merge[] {
  return listOf(merges).map((merge): Merge => {
    if (Array.isArray(merge)) return merge as unknown as Merge;
    const text = String(merge);
    const at = text.indexOf(' ', 1);
    return [text.slice(0, at), text.slice(at + 1)];
  });
}

/** Ids in the post-processor and the padding. */
function withIds(json: Record<string, unknown>, newIds: ReadonlyMap<number, number>): Record<string, unknown> {
  const renumber = (value: unknown, key?: string): unknown => {
    if (typeof value === 'number') return key === 'ids' || key === 'pair' ? (newIds.get(value) ?? value) : value;
    if (Array.isArray(value)) {
      // BertProcessing and RobertaProcessing: [token, id].
      if ((key === 'sep' || key === 'cls') && typeof value[1] === 'number') return [value[0], newIds.get(value[1])];
      return value.map((entry) => renumber(entry, key === 'ids' ? 'ids' : undefined));
    }
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([name, entry]) => [name, renumber(entry, name)]));
  };
  const padding = json['padding'] as Readonly<Record<string, unknown>> | null | undefined;
  const padId = padding?.['pad_id'];
  return {
    ...json,
    ...(json['post_processor'] !== undefined && { post_processor: renumber(json['post_processor']) }),
    ...(typeof padId === 'number' && { padding: { ...padding, pad_id: newIds.get(padId) ?? padId } }),
  };
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? (value as readonly unknown[]) : [];
}
