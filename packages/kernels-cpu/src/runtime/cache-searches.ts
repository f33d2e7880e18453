// What a cache searched: which mask serves a step, which stages run again, what is remembered of a search.
import { decodeConfig, MaskHistory, type BlockMask, type HipConfig, type RememberedSearch } from '@hip/mask-search';
import { hipSteps, maskedSteps } from './attend.ts';
import { drive } from './drive.ts';
import type { Steps } from './engine.ts';
import { newOutputs, type Call, type StageOutputs } from './part.ts';

/** A search by one row, and what its stages left. */
export interface Searched {
  readonly keys: number;
  /** The mask's. */
  readonly window: number;
  readonly mask: BlockMask;
  /** Tokens there were when each stage ran. */
  readonly ran: readonly number[];
  readonly outputs: StageOutputs;
}

/** Output [B, Tq, H, d] of rows, and the mask that they attended over. */
export interface Attended {
  readonly output: Float32Array;
  readonly mask: BlockMask;
}

export class CacheSearches {
  readonly #config: HipConfig;
  /** What a single row runs, and the tokens that each of its stages serves for (one number without stages). */
  readonly #stepConfig: HipConfig;
  readonly #intervals: readonly number[];
  readonly #masks: MaskHistory<Searched>;

  constructor(config: HipConfig, masks = new MaskHistory<Searched>()) {
    this.#config = config;
    this.#stepConfig = decodeConfig(config);
    const { stages, refreshInterval } = this.#stepConfig;
    this.#intervals = stages ? stages.map(({ refresh }) => refresh ?? refreshInterval) : [refreshInterval];
    this.#masks = masks;
  }

  /** The last search's; undefined before the first. */
  get mask(): BlockMask | undefined {
    return this.#masks.last?.mask;
  }

  entries(): readonly RememberedSearch<Searched>[] {
    return this.#masks.entries();
  }

  fork(): CacheSearches {
    return new CacheSearches(this.#config, this.#masks.fork());
  }

  /** Forgets what was searched with more tokens. */
  truncate(length: number): void {
    this.#masks.truncate(length);
  }

  /** Rows of a prompt: searches, attends, remembers. */
  rows(call: Call, q: Float32Array): Steps<Attended> {
    return this.#search(call, q, this.#config);
  }

  /** A single row: over the mask that serves, after the stages whose time is up. */
  step(call: Call, q: Float32Array, refresh: boolean): Float32Array {
    const { keys } = call.shape;
    const last = refresh ? undefined : this.#masks.serving(keys, Infinity);
    if (!last) return drive(this.#search(call, q, this.#stepConfig)).output;
    const from = last.ran.findIndex((ran, stage) => keys - ran >= this.#intervals[stage]!);
    if (from >= 0)
      return drive(this.#search(call, q, this.#stepConfig, from === 0 ? undefined : { last, from })).output;
    const out = new Float32Array(q.length);
    drive(maskedSteps(call, q, out, { ...last.mask, keys, window: last.window }));
    return out;
  }

  /** @param since stages before `from` are left out: what they left `last` serves */
  *#search(
    call: Call,
    q: Float32Array,
    config: HipConfig,
    since?: { readonly last: Searched; readonly from: number },
  ): Steps<Attended> {
    const output = new Float32Array(q.length);
    const { keys, queries } = call.shape;
    // A row that attends to other keys than steps do is none that steps go on from.
    const rows = config === this.#stepConfig ? queries : Math.max(2, queries);
    const { last, from = 0 } = since ?? {};
    const ran = this.#intervals.map((_, stage) => (last && stage < from ? last.ran[stage]! : keys));
    const outputs = last
      ? { ...last.outputs, words: last.outputs.words.slice() }
      : rows === 1
        ? newOutputs(call.shape, config)
        : undefined;
    const window = this.#config.window + keys - ran[0]!;
    const mask = yield* hipSteps(call, { config, window, q, out: output, staged: outputs && { from, outputs } });
    this.#masks.search(keys, rows)({ keys, window, mask, ran, outputs: outputs ?? { keys, words: new Int32Array() } });
    return { output, mask };
  }
}
