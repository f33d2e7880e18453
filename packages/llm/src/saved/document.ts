// A saved conversation: a head that says of which model and what was said, then the sequence's state and its pieces.
import type { Engine, SavedSequence, Sequence } from '../engine/types.ts';
import { LlmError } from '../errors.ts';
import { damaged, readFrames, writeFrames, type ByteInput } from './frames.ts';
import { fromPlain, toPlain } from './plain.ts';

/** Beside the sequence: plain data of whoever saves. */
export type SavedHead = Readonly<Record<string, unknown>>;

interface Head {
  readonly fingerprint: string;
  readonly layout: string;
  readonly tokens: Int32Array;
  readonly state: unknown;
  readonly own: SavedHead;
}

/** Writes a sequence and what belongs to it; disposes of the saved sequence at the end, however it comes. */
export async function* writeSaved(
  { fingerprint, layout }: Pick<Engine, 'fingerprint' | 'layout'>,
  saved: SavedSequence,
  own: SavedHead,
): AsyncGenerator<Uint8Array<ArrayBuffer>, void, void> {
  try {
    const tokens = Int32Array.from(saved.tokens);
    const { json, arrays } = toPlain({ fingerprint, layout, tokens, state: saved.state, own } satisfies Head);
    yield* writeFrames(payloads(json, arrays, saved.pieces));
  } finally {
    saved[Symbol.dispose]();
  }
}

async function* payloads(json: string, arrays: readonly Uint8Array[], pieces: AsyncIterable<Uint8Array>) {
  yield new TextEncoder().encode(JSON.stringify(arrays.length));
  yield new TextEncoder().encode(json);
  yield* arrays;
  yield* pieces;
}

/**
 * Reads what {@link writeSaved} wrote into a sequence of an engine.
 *
 * @param check - looks at what belongs to the sequence before anything is allocated, and may throw
 * @throws LlmError `saved-damaged`; `saved-mismatch` for another model, backend, type or attention; `context-full`, `out-of-memory`. Nothing
 * is left behind
 */
export async function readSaved<T>(
  engine: Engine,
  input: ByteInput,
  check: (own: SavedHead, tokens: readonly number[]) => T,
): Promise<{ readonly sequence: Sequence; readonly tokens: readonly number[]; readonly own: T }> {
  const frames = readFrames(input);
  try {
    const { fingerprint, layout, tokens, state, own: given } = await readHead(frames);
    requireSame(engine, { fingerprint, layout });
    const ids = Array.from(tokens);
    if (ids.length > engine.contextTokens) {
      const message = `${ids.length} tokens are saved and the context holds ${engine.contextTokens}: load with contextTokens ≥ ${ids.length}`;
      throw new LlmError('context-full', message, { tokens: ids.length, contextTokens: engine.contextTokens });
    }
    const own = check(given, ids);
    const saved = { tokens: ids, state, pieces: frames };
    const sequence = await engine.restoreSequence(saved).catch((error: unknown) => {
      throw error instanceof LlmError && error.code !== 'internal' && error.code !== 'invalid-input'
        ? error
        : damaged('its parts do not belong together', error);
    });
    try {
      // What is behind the last piece is checked, too.
      if (!(await frames.next()).done) throw damaged('it has parts that belong to nothing');
    } catch (error) {
      sequence.dispose();
      throw error;
    }
    return { sequence, tokens: ids, own };
  } finally {
    await frames.return();
  }
}

async function readHead(frames: AsyncGenerator<Uint8Array>): Promise<Head> {
  const next = async (): Promise<Uint8Array> => {
    const { value, done } = await frames.next();
    if (done) throw damaged('it ends before its head does');
    return value;
  };
  try {
    const text = async () => new TextDecoder().decode(await next());
    const count = Number(await text());
    const json = await text();
    const arrays: Uint8Array[] = [];
    for (let i = 0; i < count; i++) arrays.push(await next());
    const head = fromPlain(json, arrays) as Head;
    if (!(head.tokens instanceof Int32Array) || typeof head.fingerprint !== 'string') throw damaged('its head is none');
    return head;
  } catch (error) {
    throw error instanceof LlmError ? error : damaged('its head cannot be read', error);
  }
}

function requireSame(engine: Engine, saved: { readonly fingerprint: string; readonly layout: string }): void {
  for (const [what, fix] of [
    [
      'fingerprint',
      'it was saved with other weights, or weights of another type: load the model that it was saved with',
    ],
    [
      'layout',
      'it was saved with another backend, cache type, context or attention: load the model as it was loaded then',
    ],
  ] as const) {
    if (saved[what] === engine[what]) continue;
    throw new LlmError('saved-mismatch', `this conversation does not belong to this model: ${fix}`, {
      what,
      saved: saved[what],
      expected: engine[what],
    });
  }
}
