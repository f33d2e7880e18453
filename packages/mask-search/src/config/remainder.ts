// The remainder's parameters (docs/specification/hip.md §8): how the keys that a mask leaves out are stood for.
import { HipError } from '../errors.ts';
import { checkFields } from './fields.ts';
import { MOST } from './stages.ts';

/**
 * Keys below the window that the mask leaves out are stood for by pseudo-keys, one a block: the block's mean key and mean value, its
 * logit raised by the logarithm of the number of keys left out.
 */
export interface RemainderConfig {
  /** Keys of a base block. @defaultValue 64 */
  readonly block?: number | undefined;
  /** Most whole blocks: base blocks are joined by doubling until there are no more. @defaultValue 32 */
  readonly most?: number | undefined;
  /**
   * The keys between the last base block and the window: `exact` attends to each, `drop` to those of the mask only.
   * @defaultValue 'drop'
   */
  readonly tail?: 'exact' | 'drop' | undefined;
}

/** {@link RemainderConfig} with its defaults. */
export interface Remainder {
  readonly block: number;
  readonly most: number;
  readonly tail: 'exact' | 'drop';
}

export const DEFAULT_REMAINDER: Remainder = Object.freeze({ block: 64, most: 32, tail: 'drop' });

/** Fills in the defaults. @throws HipError `invalid-config` */
export function resolveRemainder(given: RemainderConfig): Remainder {
  const fail = (name: string, value: unknown, fix: string): never => {
    throw new HipError('invalid-config', `${name} is ${String(value)}: give ${fix}`, { name: 'remainder', value });
  };
  if (typeof given !== 'object' || given === null) return fail('remainder', given, '{ block, most, tail }');
  checkFields(given, Object.keys(DEFAULT_REMAINDER), 'remainder');
  const { block = DEFAULT_REMAINDER.block, most = DEFAULT_REMAINDER.most, tail = DEFAULT_REMAINDER.tail } = given;
  for (const [name, value] of Object.entries({ block, most })) {
    if (!Number.isSafeInteger(value) || value < 1 || value > MOST)
      fail(`remainder.${name}`, value, `an integer from 1 to ${MOST}`);
  }
  if (tail !== 'exact' && tail !== 'drop') fail('remainder.tail', tail, 'exact or drop');
  return { block, most, tail };
}
