// What one call of a session is: its sizes, which columns are tokens, their positions, and the sequence it goes on from.
import { OnnxError } from '../errors.ts';
import type { DecoderInputs } from '../graph/feeds.ts';
import type { AttentionSite } from '../graph/site.ts';
import type { OrtTensor } from '../runtime/ort.ts';
import type { Span } from '../runtime/backend.ts';
import { snapshotOf, type Snapshot } from './handles.ts';
import { tokenBits } from './tensors.ts';

/** One call. */
export interface Call {
  readonly batch: number;
  /** New columns. */
  readonly tokens: number;
  /** Columns before. */
  readonly past: number;
  /** What it goes on from; undefined: nothing, or a cache of numbers. */
  readonly snapshot: Snapshot | undefined;
  /** By text: 1 for each of the past and new columns that holds a token; undefined: all do. */
  readonly valid: readonly Uint8Array[] | undefined;
  /** Of a part of a prompt: tokens of the whole, and those that follow. @defaultValue it is the whole */
  readonly prompt?: { readonly tokens: number; readonly after: number } | undefined;
}

export type Feeds = Readonly<Record<string, OrtTensor>>;

/** @throws OnnxError `invalid-option` for feeds that do not fit together */
export function callOf(
  feeds: Feeds,
  inputs: DecoderInputs,
  sites: readonly AttentionSite[],
  { owner, padding }: { readonly owner: object; readonly padding: boolean },
): Call {
  const [batch = 0, tokens = 0] = feeds[inputs.tokens]!.dims;
  if (batch < 1 || tokens < 1) {
    const dims = feeds[inputs.tokens]!.dims.join(', ');
    throw new OnnxError('invalid-option', `${inputs.tokens} is [${dims}]: give at least one token of one text`, {
      batch,
      tokens,
    });
  }
  const snapshot = commonSnapshot(feeds, sites, owner);
  if (snapshot && snapshot.sequence.batch !== batch) {
    const message = `${inputs.tokens} holds ${batch} texts, the cache ${snapshot.sequence.batch}: a cache goes on with the texts it was made of (beams cannot be taken out of it)`;
    throw new OnnxError('invalid-option', message, { batch, cached: snapshot.sequence.batch });
  }
  const mask = inputs.mask === undefined ? undefined : feeds[inputs.mask];
  const past = pastColumns(feeds, sites, { snapshot, mask, tokens, maskName: inputs.mask });
  const given = mask && padding ? validColumns(mask, batch, past + tokens, inputs.mask!) : undefined;
  const valid = given && snapshot ? continued(given, snapshot, tokens) : given;
  return { batch, tokens, past, snapshot, valid };
}

/**
 * What was padding in the cache stays so. Where a mask is right-padded, as GroupQueryAttention's is, its ones move: then their number
 * says how many of the new columns are tokens.
 */
function continued(
  valid: readonly Uint8Array[],
  { sequence, columns }: Snapshot,
  tokens: number,
): readonly Uint8Array[] {
  return valid.map((row, text) => {
    const held = sequence.tokensIn(text, columns);
    const added = row.subarray(columns).reduce((a, b) => a + b, 0);
    const counted = row.reduce((a, b) => a + b, 0) - held;
    const own = row.slice();
    for (let column = 0; column < columns; column++) own[column] = sequence.isToken(text, column) ? 1 : 0;
    if (counted > added && counted <= tokens) own.fill(1, columns, columns + counted);
    return own;
  });
}

/** One cache for all layers. */
function commonSnapshot(feeds: Feeds, sites: readonly AttentionSite[], owner: object): Snapshot | undefined {
  const names = sites.flatMap(({ past }) => (past ? [past.key, past.value] : []));
  const all = new Map(names.map((name) => [name, snapshotOf(feeds[name]!, owner, name)]));
  const [first] = all;
  if (!first) return undefined;
  for (const [name, snapshot] of all) {
    if (snapshot === first[1]) continue;
    const message = `${first[0]} and ${name} are caches of different runs: give all of one run (caches cannot be put together, as a beam search does)`;
    throw new OnnxError('invalid-option', message, { names: [first[0], name] });
  }
  return first[1];
}

/** Columns that came before. */
function pastColumns(
  feeds: Feeds,
  sites: readonly AttentionSite[],
  call: {
    readonly snapshot: Snapshot | undefined;
    readonly mask: OrtTensor | undefined;
    readonly maskName: string | undefined;
    readonly tokens: number;
  },
): number {
  const { snapshot, mask, maskName, tokens } = call;
  if (snapshot) return snapshot.columns;
  const site = sites.find(({ past, slidingCache }) => past && !slidingCache) ?? sites.find(({ past }) => past);
  if (!site?.past) return 0;
  const dims = feeds[site.past.key]!.dims.slice(site.past.joined ? 1 : 0);
  const rows = dims[site.cacheAxes.indexOf('S')]!;
  const columns = mask?.dims[1];
  if (!mask || columns === undefined || (columns === rows + tokens && !site.slidingCache)) return rows;
  // A buffer of a fixed size: the mask says how much of it is filled.
  const past = Math.max(0, Math.min(columns, Math.max(...countsOf(mask))) - tokens);
  if (past <= rows || site.slidingCache) return past;
  const message = `${maskName} has ${past + tokens} tokens: give ${rows + tokens}, a column for each of ${rows} in the cache and ${tokens} new ones`;
  throw new OnnxError('invalid-option', message, { dims: mask.dims, cached: rows, tokens });
}

function countsOf(mask: OrtTensor): readonly number[] {
  const values = tokenBits(mask);
  const [batch = 1, columns = 0] = mask.dims;
  return Array.from({ length: batch }, (_, text) => sum(values.subarray(text * columns, (text + 1) * columns)));
}

function sum(bits: Uint8Array): number {
  let total = 0;
  for (const bit of bits) total += bit;
  return total;
}

/** The mask of padding, or undefined where there is none. */
function validColumns(mask: OrtTensor, batch: number, total: number, name: string): readonly Uint8Array[] | undefined {
  const [texts, columns = 0] = mask.dims;
  // Longer masks are of a fixed size, their end is not yet filled.
  const isFixed = columns > total && Math.max(...countsOf(mask)) <= total;
  if (texts !== batch || (columns !== total && !isFixed)) {
    const message = `${name} is [${mask.dims.join(', ')}]: give [${batch}, ${total}], a column for each token in the cache and each new one`;
    throw new OnnxError('invalid-option', message, { dims: mask.dims, batch, total });
  }
  const values = tokenBits(mask);
  const valid = Array.from({ length: batch }, (_, text) => values.subarray(text * columns, text * columns + total));
  return valid.every((row) => sum(row) === total) ? undefined : valid;
}

/** Runs of tokens among the new columns, by text. */
export function spansOf({ batch, tokens, past, valid, prompt }: Call): readonly (readonly Span[])[] {
  return Array.from({ length: batch }, (_, text) => {
    if (!valid) return [{ first: 0, count: tokens, call: prompt?.tokens ?? tokens, after: prompt?.after ?? 0 }];
    const own = valid[text]!.subarray(past);
    const runs: { readonly first: number; readonly count: number }[] = [];
    for (let first = 0; first < tokens; first++) {
      let count = 0;
      while (first + count < tokens && own[first + count] === 1) count++;
      if (count > 0) runs.push({ first, count });
      first += count;
    }
    const call = runs.reduce((total, { count }) => total + count, 0);
    let after = call;
    return runs.map((run): Span => ({ ...run, call, after: (after -= run.count) }));
  });
}

/** Positions of the new columns [B, S]: tokens before them. Padding has that of the next token. */
export function positionsOf({ batch, tokens, past, valid }: Call, counts: readonly number[]): readonly number[] {
  return Array.from({ length: batch }, (_, text) => {
    let position = valid ? counts[text]! : past;
    return Array.from({ length: tokens }, (_, column) =>
      valid && valid[text]![past + column] === 0 ? position : position++,
    );
  }).flat();
}
