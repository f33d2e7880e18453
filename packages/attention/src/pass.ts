// Layers of a cache go in step: a pass through a model gives each of them the same tokens. What does not is refused, in words.
import { HipError } from '@hip/mask-search';

/**
 * Whether a layer may go on: each other layer has either had these tokens or not yet, and none lacks earlier ones.
 *
 * @param lengths tokens by layer, before this append
 * @param tokens to be appended
 * @throws HipError `unsupported` after a pass that ended in the middle
 */
export function checkPass(layer: number, tokens: number, lengths: ReadonlyMap<number, number>): void {
  const before = lengths.get(layer) ?? 0;
  for (const [other, length] of lengths) {
    if (other === layer || length === before || length === before + tokens) continue;
    const least = Math.min(before, ...lengths.values());
    throw new HipError(
      'unsupported',
      `layer ${layer} would go from ${before} to ${before + tokens} tokens where layer ${other} has ${length}: a forward pass ended before it had filled every layer. Call truncate(n) with the length before that pass (${least} at most; 0 starts anew)`,
      { layer, before, tokens, other, length },
    );
  }
}

/** @throws HipError `invalid-config` unless it is an integer from 0 to `longest` */
export function checkLength(length: number, longest: number): void {
  if (Number.isSafeInteger(length) && length >= 0 && length <= longest) return;
  const message = `length is ${length}: give an integer from 0 to ${longest}`;
  throw new HipError('invalid-config', message, { name: 'length', value: length });
}
