// How one layer attends, by the number of keys: to its window, to everything, or to what HiP selects.
import { layerConfig, type HipConfig } from '@hip/mask-search';
import type { LayerShape } from './layers.ts';
import type { ResolvedAttention } from './options.ts';

/**
 * Rows of a call up to which it is a question: it attends to all keys for longer than rows of a text do. What a search leaves out rows of a
 * text hardly miss; a question that asks for it does (`docs/guide/language-models.md`).
 */
export const QUESTION_ROWS = 64;

export class LayerAttention {
  readonly #window: number;
  readonly #denseBelow: ResolvedAttention['denseBelow'];
  /** Undefined: dense at any length. */
  readonly config: HipConfig | undefined;
  /** Keys up to which the layer is dense whatever pays. */
  readonly #exactTokens: number;

  /** @throws HipError `invalid-config` */
  constructor({ layer, window }: LayerShape, { config, denseBelow }: ResolvedAttention) {
    this.#window = window;
    const longest = config && window === 0 ? layerConfig(config, layer, Infinity) : 'dense';
    this.config = longest === 'dense' ? undefined : longest;
    // Where HiP keeps every key anyway there is nothing to search.
    const kept = this.config ? this.config.k + this.config.window + this.config.sink : 0;
    this.#denseBelow = denseBelow;
    const isDense = config && this.config && layerConfig(config, layer) === 'dense';
    this.#exactTokens = Math.max(kept, isDense ? (config.denseTokens ?? Infinity) : 0);
  }

  kind(keys: number, queries: number): 'window' | 'dense' | 'hip' {
    if (this.#window > 0 && this.#window < keys) return 'window';
    return keys <= this.denseTokens(queries) ? 'dense' : 'hip';
  }

  /** Keys up to which so many queries attend to all of them; Infinity where they always do. */
  denseTokens(queries: number): number {
    if (!this.config) return Infinity;
    const { rows, question, step } = this.#denseBelow;
    const pays = queries === 1 ? step : queries <= QUESTION_ROWS ? question : rows;
    return Math.max(pays, this.#exactTokens);
  }

  get window(): number {
    return this.#window;
  }
}
