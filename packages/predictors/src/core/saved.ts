// Reading saved models: every field checked, so that a damaged file is an error and never a wrong prediction.
import { PredictorError } from '../errors.ts';
import { SAVE_VERSION, type SavedModel } from './model.ts';

/** The envelope around a model's state. */
export function saveAs(kind: string, features: number, state: Readonly<Record<string, unknown>>): SavedModel {
  return { schema: 'instatune-model', version: SAVE_VERSION, kind, features, state };
}

/** Fields of a saved state, read with checks. */
export class SavedState {
  private readonly kind: string;
  private readonly fields: Readonly<Record<string, unknown>>;

  constructor(kind: string, fields: unknown) {
    this.kind = kind;
    if (typeof fields !== 'object' || fields === null || Array.isArray(fields)) {
      throw new PredictorError('invalid-state', `the state of a saved ${kind} is not an object: save the model again`, {
        kind,
      });
    }
    this.fields = fields as Record<string, unknown>;
  }

  /** Checks the header of a whole file: `schema` and `version`. @throws PredictorError `invalid-state`, `unsupported-version` */
  header(schema: string, supported: number): this {
    if (this.fields['schema'] !== schema) this.fail('schema', `"${schema}"`);
    const version = this.integer('version', 1);
    if (version === supported) return this;
    throw new PredictorError(
      'unsupported-version',
      `the ${this.kind} was saved with version ${version}, this package reads ${supported}: update it, or save again`,
      { version, supported },
    );
  }

  fail(field: string, wanted: string): never {
    throw new PredictorError(
      'invalid-state',
      `${field} of a saved ${this.kind} is not ${wanted}: save the model again`,
      {
        kind: this.kind,
        field,
        wanted,
      },
    );
  }

  number(field: string, lower: number = -Infinity): number {
    const value = this.fields[field];
    if (typeof value !== 'number' || !Number.isFinite(value) || value < lower) {
      return this.fail(field, lower === -Infinity ? 'a finite number' : `a finite number of at least ${lower}`);
    }
    return value;
  }

  integer(field: string, lower: number = 0): number {
    const value = this.number(field, lower);
    return Number.isInteger(value) ? value : this.fail(field, 'a whole number');
  }

  boolean(field: string): boolean {
    const value = this.fields[field];
    return typeof value === 'boolean' ? value : this.fail(field, 'true or false');
  }

  oneOf<T extends string>(field: string, choices: readonly T[]): T {
    const value = this.fields[field];
    return choices.find((choice) => choice === value) ?? this.fail(field, `one of ${choices.join(', ')}`);
  }

  /** @param length how many there must be, if that is known */
  numbers(field: string, length?: number): Float64Array {
    const value = this.fields[field];
    const wanted = length === undefined ? 'a list of finite numbers' : `a list of ${length} finite numbers`;
    if (!Array.isArray(value) || (length !== undefined && value.length !== length)) return this.fail(field, wanted);
    return Float64Array.from(value, (item: unknown) =>
      typeof item === 'number' && Number.isFinite(item) ? item : this.fail(field, wanted),
    );
  }

  /** Whole numbers in [lower, upper). */
  indices(field: string, upper: number, length?: number, lower: number = 0): Int32Array {
    const values = this.numbers(field, length);
    if (values.some((value) => !Number.isInteger(value) || value < lower || value >= upper)) {
      this.fail(field, `whole numbers from ${lower} to ${upper - 1}`);
    }
    return Int32Array.from(values);
  }

  list(field: string): readonly unknown[] {
    const value = this.fields[field];
    return Array.isArray(value) ? (value as unknown[]) : this.fail(field, 'a list');
  }

  get(field: string): unknown {
    return this.fields[field];
  }

  optionalNumber(field: string, lower: number = -Infinity): number | undefined {
    return this.fields[field] === undefined ? undefined : this.number(field, lower);
  }
}

/** Typed arrays as JSON arrays. */
export function plain(values: Iterable<number>): number[] {
  return Array.from(values);
}
