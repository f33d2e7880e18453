// How long a sequence may be, and to which lengths it can be cut back.
import { HipError } from '@hip/mask-search';
import { seenFrom, type Sliding } from './sliding.ts';

/** @throws HipError `invalid-config` */
export function checkCut(length: number, held: number): void {
  if (Number.isSafeInteger(length) && length >= 0 && length <= held) return;
  throw new HipError('invalid-config', `length is ${length}: give an integer from 0 to ${held}`, {
    name: 'length',
    value: length,
  });
}

/** @throws HipError `invalid-config` */
export function checkMaxTokens(maxTokens: number): void {
  if (Number.isSafeInteger(maxTokens) && maxTokens >= 1) return;
  throw new HipError('invalid-config', `maxTokens is ${maxTokens}: give an integer >= 1`, {
    name: 'maxTokens',
    value: maxTokens,
  });
}

/** Whether what a token behind `length` others sees is there. @param first token from which on all are there */
export function canCut(sliding: Pick<Sliding, 'window'> | undefined, first: number, length: number): boolean {
  return length === 0 || first === 0 || first <= seenFrom(sliding ?? { window: Infinity }, length);
}

export function slidError(length: number, first: number): HipError {
  const message = `keys and values of tokens before ${first}, which a cut back to ${length} needs, were given back as the window slid on: compute the tokens anew, or keep more of them (spareTokens)`;
  return new HipError('unsupported', message, { length, first });
}
