// What a cache is made with.
import type { HipConfig, ScoreOptions } from '@hip/mask-search';
import type { CacheType } from '../plan/layout.ts';

export interface CacheOptions extends ScoreOptions {
  /** @defaultValue 1 */
  readonly batch?: number | undefined;
  /** Query heads, a multiple of kvHeads. */
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  /** float16 halves the memory; keys and values are rounded to 11 bits, infinite from ±65520 on. @defaultValue 'f32' */
  readonly type?: CacheType | undefined;
  /** @defaultValue DEFAULT_CONFIG of `@hip/mask-search` */
  readonly config?: Partial<HipConfig> | undefined;
  /**
   * Appending beyond this throws. Tables are then made for it at once, so that `plan` bounds the cache however it grows.
   * @defaultValue none: the cache grows until memory ends
   */
  readonly maxTokens?: number | undefined;
}
