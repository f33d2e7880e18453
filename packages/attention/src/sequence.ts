// What an attention function remembers of a sequence, by the cache that holds the sequence: never by the function.
import * as tf from '@tensorflow/tfjs';
import { MaskHistory } from '@hip/mask-search';
import { releaseMask, type KeptMask } from './attention.ts';

/** Masks of one layer of one cache, as one attention function searched them. */
export class LayerMasks {
  readonly #masks = new MaskHistory<KeptMask>(releaseMask);
  /** Tokens of the layer at the last call. */
  #seen = 0;
  /** Where masks are. */
  #backend = tf.getBackend();

  /**
   * The masks that hold for a call of the newest `rows` of `keys` tokens: what was searched with tokens that are gone since (a pass that
   * failed and was taken back) is forgotten, and all of it where tokens came that this function never saw.
   */
  at(keys: number, rows: number): MaskHistory<KeptMask> {
    const before = keys - rows;
    if (this.#backend !== tf.getBackend()) this.truncate(0);
    this.#backend = tf.getBackend();
    this.#masks.truncate(before > this.#seen ? 0 : before);
    this.#seen = keys;
    return this.#masks;
  }

  truncate(length: number): void {
    this.#masks.truncate(length);
    this.#seen = Math.min(this.#seen, length);
  }
}

/** By cache, by attention function (its own object stands for it), by layer. */
const masksOfCaches = new WeakMap<object, Map<object, Map<number, LayerMasks>>>();

/** Masks that an attention function has of a layer of a cache. */
export function masksOf(cache: object, attention: object, layer: number): LayerMasks {
  let functions = masksOfCaches.get(cache);
  if (!functions) masksOfCaches.set(cache, (functions = new Map()));
  let layers = functions.get(attention);
  if (!layers) functions.set(attention, (layers = new Map()));
  let masks = layers.get(layer);
  if (!masks) layers.set(layer, (masks = new LayerMasks()));
  return masks;
}

/** Forgets what was searched in a cache with more than `length` tokens. */
export function truncateMasks(cache: object, length: number): void {
  for (const layers of masksOfCaches.get(cache)?.values() ?? [])
    for (const masks of layers.values()) masks.truncate(length);
}

const owners = new WeakMap<tf.Tensor, object>();

/** Notes whose keys these are, for models that do not tell their attention which cache they use. */
export function setOwner(k: tf.Tensor4D, cache: object): void {
  owners.set(k, cache);
}

/** The cache of this package that gave k; undefined where none did. */
export function ownerOf(k: tf.Tensor4D): object | undefined {
  return owners.get(k);
}
