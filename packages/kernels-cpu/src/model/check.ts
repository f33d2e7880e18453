// Checks of what the model's operations are given.
import { HipError } from '@hip/mask-search';
import type { Heap } from '../runtime/heap.ts';
import type { Activation } from './activation.ts';
import type { StoredMatrix } from './matrix.ts';

/** Where `length` numbers of an activation lie. @throws HipError `invalid-shape`, `internal` for a disposed one or another runtime's */
export function addressOf(name: string, activation: Activation, heap: Heap, length: number): number {
  if (!activation.belongsTo(heap)) throw foreign(name);
  if (activation.length < length) {
    const message = `${name} holds ${activation.length} numbers: this needs ${length}`;
    throw new HipError('invalid-shape', message, { name, length: activation.length, expected: length });
  }
  return activation.address;
}

/** `addressOf`, 0 where there is none. */
export function addressOrNone(name: string, activation: Activation | undefined, heap: Heap, length: number): number {
  return activation === undefined ? 0 : addressOf(name, activation, heap, length);
}

/** Where a matrix lies. @throws HipError `internal` for a disposed one or another runtime's */
export function blocksOf(name: string, matrix: StoredMatrix, heap: Heap): number {
  if (!matrix.belongsTo(heap)) throw foreign(name);
  return matrix.address;
}

function foreign(name: string): HipError {
  return new HipError('internal', `${name} is another runtime's: create it with the runtime that reads it`, { name });
}

/** @throws HipError `invalid-shape` unless all are integers from 1 on */
export function checkCounts(counts: Readonly<Record<string, number>>): void {
  for (const name in counts) {
    const value = counts[name]!;
    if (!Number.isSafeInteger(value) || value < 1)
      throw new HipError('invalid-shape', `${name} is ${value}: give an integer >= 1`, { name, value });
  }
}

/** @throws HipError `invalid-config` unless it is a finite number, and more than `least` where that is given */
export function checkNumber(name: string, value: number, least = -Infinity): void {
  if (Number.isFinite(value) && value > least) return;
  const range = least === -Infinity ? 'a finite number' : `a finite number > ${least}`;
  throw new HipError('invalid-config', `${name} is ${value}: give ${range}`, { name, value });
}
