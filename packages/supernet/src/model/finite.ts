// Weights that are no numbers are neither written nor exported.
import { SupernetError } from '../errors.ts';

/** @throws SupernetError `non-finite` naming the weight and the place of its first NaN or infinity */
export function requireFinite(weight: string, values: Float32Array): void {
  for (let index = 0; index < values.length; index++) {
    const value = values[index] as number;
    // Infinity − Infinity and NaN − NaN are NaN.
    if (value - value === 0) continue;
    throw new SupernetError(
      'non-finite',
      `weight ${weight} has ${value} at ${index}: nothing is written; load the checkpoint again, or resume from a state before it`,
      { weight, index, value },
    );
  }
}
