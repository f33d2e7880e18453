// A long prompt as several calls, one after another: what lies between layers is then of some rows, not of all, and is used again.
import type { DecoderInputs } from '../graph/feeds.ts';
import type { PartMask } from '../cut/branches.ts';
import type { AttentionSite } from '../graph/site.ts';
import { tensorClass, type Ort, type OrtTensor } from '../runtime/ort.ts';
import type { Call, Feeds } from './call.ts';
import { integersOf } from './tensors.ts';

/** A call over some of the columns of another. */
export interface CallPart {
  readonly feeds: Feeds;
  readonly call: Call;
}

/** How a call is divided. */
export interface Division {
  readonly parts: readonly CallPart[];
  /** Joins what the parts gave. */
  readonly join: (runs: readonly Readonly<Record<string, OrtTensor>>[]) => Record<string, OrtTensor>;
}

/** What a division is made by. */
export interface DivisionParts {
  readonly inputs: DecoderInputs;
  readonly sites: readonly AttentionSite[];
  /** Of a part. */
  readonly rows: number;
  readonly ort: Ort;
  readonly partMask: Exclude<PartMask, undefined>;
}

/**
 * Divides a call of one text whose inputs all say what they are: tokens, positions, a mask, caches and scalars. Undefined for others, and
 * for calls that are short.
 */
export function divided(
  { feeds, call }: CallPart,
  { inputs, sites, rows, ort, partMask }: DivisionParts,
): Division | undefined {
  const { batch, tokens, past, valid, snapshot } = call;
  if (batch !== 1 || valid || tokens < 2 * rows || snapshot?.buffers.some(Boolean)) return undefined;
  const Tensor = tensorClass(ort);
  const caches = new Set(sites.flatMap((site) => (site.past ? [site.past.key, site.past.value] : [])));
  // Without caches a graph counts its positions from its first token.
  if (sites.some(({ slidingCache, past: cache }) => slidingCache || !cache)) return undefined;
  /** Columns [from, to) of a tensor [1, columns]. */
  const columns = ({ type, data }: OrtTensor, from: number, to: number): OrtTensor =>
    new Tensor(type, (data as BigInt64Array).subarray(from, to), [1, to - from]);
  let kept = 0;
  const slices = new Map<string, (at: number, end: number) => OrtTensor>();
  for (const [name, tensor] of Object.entries(feeds)) {
    if (caches.has(name)) continue;
    const [texts, width] = tensor.dims;
    const isRow = tensor.dims.length === 2 && texts === 1 && tensor.location === 'cpu';
    if (isRow && width === tokens && (name === inputs.tokens || name === inputs.positions)) {
      slices.set(name, (at, end) => columns(tensor, at, end));
    } else if (isRow && name === inputs.mask && width === past + tokens) {
      if (partMask === 'columns') slices.set(name, (_, end) => columns(tensor, 0, past + end));
    } else if (tensor.dims.every((dim) => dim === 1) && tensor.location === 'cpu') {
      kept = Math.max(kept, integersOf(tensor)[0] ?? 0);
    } else {
      return undefined;
    }
  }
  const ends = Array.from({ length: Math.floor(tokens / rows) }, (_, i) => (i + 1) * rows);
  ends[ends.length - 1] = tokens;
  // Rows of logits that are asked for are all in the last part.
  if (kept > tokens - (ends.at(-2) ?? 0)) return undefined;
  const parts = ends.map((end, i): CallPart => {
    const at = ends[i - 1] ?? 0;
    const own = Object.entries(feeds).map(([name, tensor]) => [name, slices.get(name)?.(at, end) ?? tensor] as const);
    return {
      feeds: Object.fromEntries(own),
      call: { ...call, tokens: end - at, past: past + at, prompt: { tokens, after: tokens - end } },
    };
  });
  return { parts, join: (runs) => joined(Tensor, runs, ends) };
}

/** Outputs with a row for each token, one after another; of others the last. */
function joined(
  Tensor: ReturnType<typeof tensorClass>,
  runs: readonly Readonly<Record<string, OrtTensor>>[],
  ends: readonly number[],
): Record<string, OrtTensor> {
  const outputs: Record<string, OrtTensor> = {};
  for (const [name, last] of Object.entries(runs.at(-1)!)) {
    const all = runs.map((run) => run[name]!);
    const isByToken = all.every(({ dims }, i) => dims.length >= 2 && dims[1] === ends[i]! - (ends[i - 1] ?? 0));
    if (!isByToken) {
      for (const tensor of all.slice(0, -1)) tensor.dispose();
      outputs[name] = last;
      continue;
    }
    const data = all.map((tensor) => tensor.data as Float32Array);
    const whole = new (data[0]!.constructor as Float32ArrayConstructor)(
      data.reduce((sum, { length }) => sum + length, 0),
    );
    let at = 0;
    for (const part of data) {
      whole.set(part, at);
      at += part.length;
    }
    outputs[name] = new Tensor(last.type, whole, [1, ends.at(-1)!, ...last.dims.slice(2)]);
    for (const tensor of all) tensor.dispose();
  }
  return outputs;
}
