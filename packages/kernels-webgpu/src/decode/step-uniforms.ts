// The uniforms of a session's steps: packed once, then a few words change per step.
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

const DECODE_KEYS = wordOf(DECODE, 'keys');
const DECODE_END = wordOf(DECODE, 'keyEnd');
const DECODE_WINDOW = wordOf(DECODE, 'window');
const SHAPE_KEYS = wordOf(SHAPE, 'keys');
const SHAPE_LAG = wordOf(SHAPE, 'lag');
const SHAPE_END = wordOf(SHAPE, 'keyEnd');
const ENVELOPE_KEYS = wordOf(ENVELOPE, 'keys');
const ENVELOPE_FIRST = wordOf(ENVELOPE, 'firstChunk');
const ENVELOPE_LAST = wordOf(ENVELOPE, 'endChunk');
const APPEND_FIRST = wordOf(APPEND, 'first');
const PSEUDO_KEYS = wordOf(PSEUDO, 'keys');
const PSEUDO_WINDOW = wordOf(PSEUDO, 'window');

/** What the uniforms of one view start from. */
export interface ViewUniforms {
  readonly append: ArrayBuffer;
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
  /** Window of the attention. */
  readonly window: number;
  /** Keys that came after the search began; undefined when none runs. */
  readonly lag: number | undefined;
  /** The search reads envelopes. */
  readonly summaries: boolean;
}

interface ViewWords {
  readonly append: Uint32Array;
  readonly decode: readonly Uint32Array[];
  readonly shapes: readonly Uint32Array[];
  readonly envelopes: readonly { readonly chunk: number; readonly words: Uint32Array }[];
  readonly source: CacheEnvelopes;
}

export class StepUniforms {
  readonly #slots: UniformSlots;
  readonly #views: readonly ViewWords[];

  readonly #pseudo: Uint32Array | undefined;

  /** @param pseudo the uniform of the pass that lists pseudo-keys, with a remainder */
  constructor(context: GpuContext, views: readonly ViewUniforms[], pseudo?: ArrayBuffer) {
    const perView = Math.max(...views.map(({ decode, envelopes }) => 2 + decode.length + 2 * envelopes.chunks.length));
    const slots = new UniformSlots(context, views.length * perView + 1);
    this.#slots = slots;
    this.#pseudo = pseudo && slots.set('pseudo', pseudo);
    this.#views = views.map(({ append, decode, plan, envelopes, headFirst }, i) => {
      const slab = plan.slabs[0]!;
      const nothing = { keys: 1, chunks: 0, firstChunk: 0, endChunk: 0 };
      return {
        append: slots.set(`append/${i}`, append),
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
        source: envelopes,
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

  /** Sets and uploads everything for a step. Where a search reads envelopes they count as brought up to date. */
  write({ keys, window, lag, summaries }: StepMoment): void {
    if (this.#pseudo) {
      this.#pseudo[PSEUDO_KEYS] = keys;
      this.#pseudo[PSEUDO_WINDOW] = window;
    }
    for (const { append, decode, shapes, envelopes, source } of this.#views) {
      append[APPEND_FIRST] = keys - 1;
      for (const words of decode) {
        words[DECODE_KEYS] = keys;
        words[DECODE_END] = keys;
        words[DECODE_WINDOW] = window;
      }
      if (lag === undefined) continue;
      for (const words of shapes) {
        words[SHAPE_KEYS] = keys;
        words[SHAPE_LAG] = lag;
        words[SHAPE_END] = keys;
      }
      if (!summaries) continue;
      for (const { chunk, words } of envelopes) {
        const { firstChunk, endChunk } = source.stale(chunk, keys);
        words[ENVELOPE_KEYS] = keys;
        words[ENVELOPE_FIRST] = firstChunk;
        words[ENVELOPE_LAST] = endChunk;
      }
      source.know(keys);
    }
    this.#slots.write();
  }

  destroy(): void {
    this.#slots.destroy();
  }
}
