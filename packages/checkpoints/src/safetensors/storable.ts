// What can be written: the element types there are, and values that fit them.
import { CheckpointError } from '../errors.ts';
import type { FloatDtype } from './dtypes.ts';

/** Every {@link FloatDtype}. */
export const FLOAT_DTYPES: readonly FloatDtype[] = ['F32', 'F16', 'BF16'];

/** The least magnitude that float16 rounds to infinity. */
const F16_OVERFLOW = 65_520;

/**
 * Checks that values can be stored: in float16 what is finite must stay so (BF16 has the range of float32).
 *
 * @throws CheckpointError `unsupported-dtype` naming the tensor
 */
export function requireStorable(name: string, values: Float32Array, dtype: FloatDtype): void {
  if (!FLOAT_DTYPES.includes(dtype)) {
    const message = `tensor ${name}: dtype = ${String(dtype)}, expected ${FLOAT_DTYPES.join(', ')}`;
    throw new CheckpointError('unsupported-dtype', message, { name, dtype });
  }
  if (dtype !== 'F16') return;
  let largest = 0;
  for (let i = 0; i < values.length; i++) {
    const magnitude = Math.abs(values[i] as number);
    if (magnitude > largest && magnitude !== Infinity) largest = magnitude;
  }
  if (largest < F16_OVERFLOW) return;
  const message = `tensor ${name} reaches ${largest}, F16 ends at 65504: store it as BF16 or F32`;
  throw new CheckpointError('unsupported-dtype', message, { name, dtype, largest });
}
