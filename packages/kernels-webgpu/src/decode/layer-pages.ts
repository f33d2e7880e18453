// How many pages a layer of a model needs: those of all tokens, or, where its window slides, of the newest of each conversation. Pure.
import { HipError } from '@hip/mask-search';
import { PAGE_TOKENS } from '../cache/page-tokens.ts';
import type { Sliding } from '../cache/sliding.ts';
import type { ModelLayer, ModelPoolOptions } from './model-plan.ts';

/** Conversations whose windows have room, and tokens behind a window that stay for cuts, unless the caller says otherwise. */
export const CONVERSATIONS = 8;
const SPARE_TOKENS = 512;

export interface LayerPages {
  /** Tokens for which the layer has pages on the device. */
  readonly tokens: number;
  /** Full pages may go to the host. */
  readonly offload: boolean;
  /** Of a layer with a window. */
  readonly sliding: Sliding | undefined;
}

/**
 * A layer with a window gives back pages that lie wholly behind it where that takes fewer pages: of each conversation those of its
 * newest tokens stay, and while a prompt is read those of two such stretches of one of them.
 *
 * @throws HipError `invalid-config`
 */
export function layerPages(
  { window }: Pick<ModelLayer, 'window'>,
  {
    tokens,
    pageTokens = PAGE_TOKENS,
    offload = false,
    conversations = CONVERSATIONS,
    spareTokens = SPARE_TOKENS,
  }: Pick<ModelPoolOptions, 'tokens' | 'pageTokens' | 'offload' | 'conversations' | 'spareTokens'>,
): LayerPages {
  checkInteger('conversations', conversations, 1);
  checkInteger('spareTokens', spareTokens, 0);
  if (window === undefined) return { tokens, offload, sliding: undefined };
  const keep = window - 1 + spareTokens;
  // A stretch begins and ends within a page.
  const stretch = Math.ceil(keep / pageTokens) + 1;
  const pages = (conversations + 1) * stretch;
  if (pages >= Math.ceil(tokens / pageTokens)) return { tokens, offload, sliding: { window, keep: Infinity } };
  return { tokens: pages * pageTokens, offload: false, sliding: { window, keep } };
}

function checkInteger(name: string, value: number, least: number): void {
  if (Number.isSafeInteger(value) && value >= least) return;
  throw new HipError('invalid-config', `${name} is ${value}: give an integer >= ${least}`, { name, value });
}
