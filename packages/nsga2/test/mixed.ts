// Arbitrary mixes of variables for property tests.
import * as fc from 'fast-check';
import { boolean, categorical, integer, permutation, real, type Variable } from '../src/index.ts';

const variable: fc.Arbitrary<Variable> = fc.oneof(
  fc.tuple(fc.integer({ min: -50, max: 50 }), fc.nat(50)).map(([low, width]) => real(low, low + width / 7)),
  fc.tuple(fc.integer({ min: -50, max: 50 }), fc.nat(9)).map(([low, width]) => integer(low, low + width)),
  fc.integer({ min: 1, max: 6 }).map((count) => categorical(count)),
  fc.constant(boolean()),
  fc.integer({ min: 1, max: 7 }).map((length) => permutation(length)),
);

/** One to eight variables of any type. */
export const mixedVariables: fc.Arbitrary<Variable[]> = fc.array(variable, { minLength: 1, maxLength: 8 });
