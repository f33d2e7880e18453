// Genes of a search space as features: one-hot, cumulative (thermometer) or ordinal columns; genes that are not used give nothing.
import { PredictorError } from '../errors.ts';
import { SavedState } from '../core/saved.ts';

/** One gene. Integers and categories are whole numbers; a boolean is 0 or 1. */
export type Gene =
  | { readonly type: 'integer'; readonly lower: number; readonly upper: number }
  | { readonly type: 'real'; readonly lower: number; readonly upper: number }
  | { readonly type: 'categorical'; readonly levels: number }
  | { readonly type: 'boolean' };

/**
 * How a gene becomes columns:
 * - `one-hot`: one column a value; integers of more than 64 values one column in (0, 1].
 * - `thermometer`: column c is 1 where the value is at least the c-th; the same span, but near values look near. Categories stay one-hot.
 * - `ordinal`: one column in (0, 1]. Categories by their index: for those whose indices are in an order that means something.
 *
 * Reals are one column in [0, 1] in all of them. Categories are one column a level in the first two, however many levels there are.
 */
export type Encoding = 'one-hot' | 'thermometer' | 'ordinal';

/** Which genes of a candidate are used. */
export type Mask = (genes: ArrayLike<number>) => ArrayLike<boolean>;

export interface SavedEncoder {
  readonly schema: 'instatune-encoder';
  readonly version: number;
  readonly encoding: Encoding;
  readonly genes: readonly Gene[];
}

/** Turns genes into features. All columns of an unused gene are 0. */
export interface Encoder {
  readonly encoding: Encoding;
  /** Columns. */
  readonly width: number;
  /** Which gene each column belongs to: the `ard` groups of a Gaussian process. */
  readonly groups: readonly number[];
  /**
   * @param active which genes are used; all if left out
   * @throws PredictorError `invalid-data` where a gene is out of its range
   */
  encode(genes: ArrayLike<number>, active?: ArrayLike<boolean>): Float64Array;
  encodeAll(rows: readonly ArrayLike<number>[], mask?: Mask): Float64Array[];
  toJSON(): SavedEncoder;
}

/** An integer with more values than this becomes one ordinal column, as its order is there; a category never does. */
const MAX_LEVELS = 64;
const VERSION = 1;
const ENCODINGS = ['one-hot', 'thermometer', 'ordinal'] as const;

function levelsOf(gene: Gene): number {
  if (gene.type === 'integer') return gene.upper - gene.lower + 1;
  if (gene.type === 'categorical') return gene.levels;
  return gene.type === 'boolean' ? 2 : Infinity;
}

function checkGene(gene: Gene, index: number): void {
  const whole = gene.type === 'real' || Number.isInteger(levelsOf(gene));
  const bounded =
    gene.type === 'real' || gene.type === 'integer'
      ? Number.isFinite(gene.lower) && Number.isFinite(gene.upper) && gene.upper >= gene.lower
      : true;
  const known =
    gene.type === 'real' || gene.type === 'integer' || gene.type === 'categorical' || gene.type === 'boolean';
  if (!known || !whole || !bounded || !(levelsOf(gene) >= 1)) {
    throw new PredictorError(
      'invalid-option',
      `gene ${index} is ${JSON.stringify(gene)}: give it a type and finite bounds, or levels ≥ 1`,
      { index, gene },
    );
  }
}

function lowerOf(gene: Gene): number {
  return gene.type === 'integer' || gene.type === 'real' ? gene.lower : 0;
}

/** A used ordinal value is never 0, so that it differs from an unused one. Real genes reach from 0 to 1. */
function ordinal(gene: Gene, value: number): number {
  if (gene.type === 'real') return gene.upper > gene.lower ? (value - gene.lower) / (gene.upper - gene.lower) : 0;
  return (value - lowerOf(gene) + 1) / levelsOf(gene);
}

function encoder(genes: readonly Gene[], encoding: Encoding): Encoder {
  genes.forEach(checkGene);
  const single = (gene: Gene): boolean =>
    encoding === 'ordinal' || (gene.type !== 'categorical' && levelsOf(gene) > MAX_LEVELS);
  const widths = genes.map((gene) => (single(gene) ? 1 : levelsOf(gene)));
  const starts: number[] = [];
  let width = 0;
  for (const columns of widths) {
    starts.push(width);
    width += columns;
  }
  const encode = (row: ArrayLike<number>, active?: ArrayLike<boolean>): Float64Array => {
    if (row.length !== genes.length || (active && active.length !== genes.length)) {
      throw new PredictorError(
        'invalid-data',
        `${row.length} genes for an encoder of ${genes.length}: give one number, and one mask, each`,
        {
          genes: row.length,
          expected: genes.length,
        },
      );
    }
    const features = new Float64Array(width);
    genes.forEach((gene, index) => {
      if (active && !active[index]) return;
      const value = row[index]!;
      const lower = lowerOf(gene);
      const upper = gene.type === 'real' ? gene.upper : lower + levelsOf(gene) - 1;
      if (!(value >= lower && value <= upper) || (gene.type !== 'real' && !Number.isInteger(value))) {
        throw new PredictorError(
          'invalid-data',
          `gene ${index} is ${value}: use ${gene.type === 'real' ? 'a number' : 'a whole number'} from ${lower} to ${upper}`,
          {
            index,
            value,
            gene,
          },
        );
      }
      const start = starts[index]!;
      if (widths[index] === 1)
        features[start] = encoding !== 'ordinal' && levelsOf(gene) === 1 ? 1 : ordinal(gene, value);
      else if (encoding === 'thermometer' && gene.type !== 'categorical')
        features.fill(1, start, start + value - lower + 1);
      else features[start + value - lower] = 1;
    });
    return features;
  };
  return {
    encoding,
    width,
    groups: widths.flatMap((columns, index) => Array.from({ length: columns }, () => index)),
    encode,
    encodeAll: (rows, mask) => rows.map((row) => encode(row, mask?.(row))),
    toJSON: () => ({ schema: 'instatune-encoder', version: VERSION, encoding, genes }),
  };
}

/**
 * One column a value, of categories however many there are; the columns of unused genes are all 0. An integer of more than 64 values is
 * one column.
 *
 * @throws PredictorError `invalid-option`
 *
 * @example
 * ```ts
 * import { oneHotEncoder } from '@instatune/predictors';
 *
 * const encode = oneHotEncoder([{ type: 'integer', lower: 6, upper: 8 }, { type: 'boolean' }]);
 * console.log(Array.from(encode.encode([7, 1]))); // => [ 0, 1, 0, 0, 1 ]
 * console.log(Array.from(encode.encode([7, 1], [true, false]))); // => [ 0, 1, 0, 0, 0 ]
 * ```
 */
export function oneHotEncoder(genes: readonly Gene[]): Encoder {
  return encoder(genes, 'one-hot');
}

/**
 * Cumulative columns: near integers look near. An integer of more than 64 values is one column; categories are one column a level.
 *
 * @throws PredictorError `invalid-option`
 *
 * @example
 * ```ts
 * import { thermometerEncoder } from '@instatune/predictors';
 *
 * console.log(Array.from(thermometerEncoder([{ type: 'integer', lower: 6, upper: 8 }]).encode([7]))); // => [ 1, 1, 0 ]
 * ```
 */
export function thermometerEncoder(genes: readonly Gene[]): Encoder {
  return encoder(genes, 'thermometer');
}

/**
 * One column a gene, in (0, 1] where it is used. It says that categories are in the order of their indices: where they are not, use
 * {@link oneHotEncoder}.
 *
 * @throws PredictorError `invalid-option`
 *
 * @example
 * ```ts
 * import { ordinalEncoder } from '@instatune/predictors';
 *
 * console.log(Array.from(ordinalEncoder([{ type: 'integer', lower: 1, upper: 4 }, { type: 'boolean' }]).encode([2, 1]))); // => [ 0.5, 1 ]
 * ```
 */
export function ordinalEncoder(genes: readonly Gene[]): Encoder {
  return encoder(genes, 'ordinal');
}

/** @throws PredictorError `invalid-state`, `unsupported-version` */
export function loadEncoder(saved: unknown): Encoder {
  const state = new SavedState('encoder', saved).header('instatune-encoder', VERSION);
  const genes = state.list('genes');
  try {
    return encoder(genes as readonly Gene[], state.oneOf('encoding', ENCODINGS));
  } catch (error) {
    if (error instanceof PredictorError && error.code === 'invalid-state') throw error;
    throw new PredictorError(
      'invalid-state',
      'genes of a saved encoder are not genes: save the encoder again',
      { genes },
      { cause: error },
    );
  }
}
