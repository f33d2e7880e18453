// The uniforms of a layer's steps, or of several equal layers': packed once, then a few words change per step.
import { APPEND } from '../cache/append-code.ts';
import type { CacheEnvelopes } from '../cache/envelopes.ts';
import type { BufferRange } from '../dispatch/call.ts';
import type { GpuContext } from '../dispatch/context.ts';
import { ENVELOPE } from '../search/code/envelope.ts';
import { SHAPE } from '../search/code/shape.ts';
import type { SearchPlan } from '../search/plan.ts';
import { envelopeUniform } from '../search/envelopes.ts';
import { shapeUniform } from '../search/search.ts';
import { PSEUDO } from '../remainder/pseudo-code.ts';
import { DECODE } from './code.ts';
import { UniformSlots, wordOf } from './uniforms.ts';

const DECODE_ROW = wordOf(DECODE, 'firstRow');
const DECODE_KEYS = wordOf(DECODE, 'keys');
const DECODE_END = wordOf(DECODE, 'keyEnd');
const DECODE_WINDOW = wordOf(DECODE, 'window');
const SHAPE_ROW = wordOf(SHAPE, 'queryBase');
const SHAPE_KEYS = wordOf(SHAPE, 'keys');
const SHAPE_LAG = wordOf(SHAPE, 'lag');
const SHAPE_END = wordOf(SHAPE, 'keyEnd');
const ENVELOPE_KEYS = wordOf(ENVELOPE, 'keys');
const ENVELOPE_FIRST = wordOf(ENVELOPE, 'firstChunk');
const ENVELOPE_LAST = wordOf(ENVELOPE, 'endChunk');
const APPEND_FIRST = wordOf(APPEND, 'first');
const APPEND_SOURCE = wordOf(APPEND, 'sourceFirst');
const APPEND_STRIDE = wordOf(APPEND, 'sourceWords');
const PSEUDO_KEYS = wordOf(PSEUDO, 'keys');
const PSEUDO_WINDOW = wordOf(PSEUDO, 'window');

/** What the uniforms start from, by pool of the cache. */
export interface StepBlocks {
  /** Of the passes that append. */
  readonly append: readonly ArrayBuffer[];
  /** Per dispatch of the attention to all keys, or to the window. */
  readonly exact: readonly (readonly ArrayBuffer[])[];
  /** Of a layer that searches. */
  readonly searched: readonly SearchedBlocks[];
  /** Of the pass that lists pseudo-keys, with a remainder. */
  readonly pseudo: ArrayBuffer | undefined;
}

export interface SearchedBlocks {
  /** Per dispatch of the attention. */
  readonly decode: readonly ArrayBuffer[];
  readonly plan: SearchPlan;
  readonly envelopes: CacheEnvelopes;
  readonly headFirst: number;
}

/** What a step's uniforms say. */
export interface StepMoment {
  /** Keys with the step's own token. */
  readonly keys: number;
  /** Row of the step's tensors. */
  readonly row: number;
  /** Of a step that attends to what a search has found. */
  readonly searched?:
    | {
        /** Window of the attention. */
        readonly window: number;
        /** Keys that came after the search began; undefined when none runs. */
        readonly lag: number | undefined;
        /** By pool, where the search reads them: they are taken to be up to date from now on. */
        readonly envelopes: readonly CacheEnvelopes[] | undefined;
      }
    | undefined;
}

interface SearchedWords {
  readonly decode: readonly Uint32Array[];
  readonly shapes: readonly Uint32Array[];
  readonly envelopes: readonly { readonly chunk: number; readonly words: Uint32Array }[];
}

export class StepUniforms implements Disposable {
  readonly #slots: UniformSlots;
  readonly #append: readonly { readonly words: Uint32Array; readonly source: number }[];
  readonly #exact: readonly Uint32Array[];
  readonly #searched: readonly SearchedWords[];
  readonly #pseudo: Uint32Array | undefined;

  constructor(context: GpuContext, { append, exact, searched, pseudo }: StepBlocks) {
    const count = (lists: readonly (readonly unknown[])[]): number => lists.reduce((sum, list) => sum + list.length, 0);
    const chunks = searched.map(({ envelopes }) => envelopes.chunks);
    const shapes = searched.length + 2 * count(chunks);
    const slots = new UniformSlots(
      context,
      append.length + count(exact) + count(searched.map(({ decode }) => decode)) + shapes + (pseudo ? 1 : 0),
    );
    this.#slots = slots;
    this.#append = append.map((bytes, i) => {
      const words = slots.set(`append/${i}`, bytes);
      return { words, source: words[APPEND_SOURCE]! };
    });
    this.#exact = exact.flatMap((list, i) => list.map((bytes, d) => slots.set(`exact/${i}/${d}`, bytes)));
    this.#pseudo = pseudo && slots.set('pseudo', pseudo);
    this.#searched = searched.map(({ decode, plan, envelopes, headFirst }, i) => {
      const slab = plan.slabs[0]!;
      const nothing = { keys: 1, chunks: 0, firstChunk: 0, endChunk: 0 };
      return {
        decode: decode.map((bytes, d) => slots.set(`decode/${i}/${d}`, bytes)),
        shapes: [0, ...envelopes.chunks].map((chunk) =>
          slots.set(
            `shape/${i}/${chunk}`,
            shapeUniform(plan, slab, slab.windows[0]!, {
              headOffset: headFirst,
              envelopeChunks: chunk === 0 ? 0 : envelopes.rows(chunk),
            }),
          ),
        ),
        envelopes: envelopes.chunks.map((chunk) => ({
          chunk,
          words: slots.set(
            `envelope/${i}/${chunk}`,
            envelopeUniform(plan, { ...nothing, chunks: envelopes.rows(chunk) }),
          ),
        })),
      };
    });
  }

  /** Of the pass that lists pseudo-keys. */
  get pseudo(): BufferRange {
    return this.#slots.range('pseudo');
  }

  append(view: number): BufferRange {
    return this.#slots.range(`append/${view}`);
  }

  exact(view: number, dispatch: number): BufferRange {
    return this.#slots.range(`exact/${view}/${dispatch}`);
  }

  decode(view: number, dispatch: number): BufferRange {
    return this.#slots.range(`decode/${view}/${dispatch}`);
  }

  /** @param chunk of the envelope that is read, 0 for none */
  shape(view: number, chunk: number): BufferRange {
    return this.#slots.range(`shape/${view}/${chunk}`);
  }

  envelope(view: number, chunk: number): BufferRange {
    return this.#slots.range(`envelope/${view}/${chunk}`);
  }

  /** Sets and uploads everything for a step. */
  write({ keys, row, searched }: StepMoment): void {
    for (const { words, source } of this.#append) {
      words[APPEND_FIRST] = keys - 1;
      words[APPEND_SOURCE] = source + row * words[APPEND_STRIDE]!;
    }
    if (searched) this.#writeSearched(keys, row, searched);
    else for (const words of this.#exact) writeDecode(words, keys, row);
    this.#slots.write();
  }

  #writeSearched(
    keys: number,
    row: number,
    { window, lag, envelopes: known }: NonNullable<StepMoment['searched']>,
  ): void {
    if (this.#pseudo) {
      this.#pseudo[PSEUDO_KEYS] = keys;
      this.#pseudo[PSEUDO_WINDOW] = window;
    }
    this.#searched.forEach(({ decode, shapes, envelopes }, i) => {
      for (const words of decode) {
        writeDecode(words, keys, row);
        words[DECODE_WINDOW] = window;
      }
      if (lag === undefined) return;
      for (const words of shapes) {
        words[SHAPE_KEYS] = keys;
        words[SHAPE_LAG] = lag;
        words[SHAPE_END] = keys;
        // Rows count from where the bindings start: u32 numbers wrap.
        words[SHAPE_ROW] = -row;
      }
      for (const { chunk, words } of known ? envelopes : []) {
        const { firstChunk, endChunk } = known![i]!.stale(chunk, keys);
        words[ENVELOPE_KEYS] = keys;
        words[ENVELOPE_FIRST] = firstChunk;
        words[ENVELOPE_LAST] = endChunk;
      }
    });
  }

  [Symbol.dispose](): void {
    this.#slots.destroy();
  }
}

function writeDecode(words: Uint32Array, keys: number, row: number): void {
  words[DECODE_KEYS] = keys;
  words[DECODE_END] = keys;
  words[DECODE_ROW] = row;
}
