// Reading saved states: every field checked, so that a damaged or foreign file is an error and never a wrong run.
import { Nsga2Error } from './errors.ts';

/** A value of a saved state, with its path for messages. */
export class Saved {
  private readonly value: unknown;
  private readonly what: string;
  private readonly path: string;

  /** @param what the whole that was saved, for messages: "the saved run" */
  constructor(value: unknown, what: string, path: string = '') {
    this.value = value;
    this.what = what;
    this.path = path;
  }

  fail(wanted: string, fix: string = 'take an undamaged state, or start again'): never {
    const { value, what, path } = this;
    const field = path === '' ? what : `${path} of ${what}`;
    throw new Nsga2Error('invalid-state', `${field} is ${shown(value)}, not ${wanted}: ${fix}`, {
      field: path,
      value,
      wanted,
    });
  }

  field(name: string): Saved {
    const { value, what, path } = this;
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return this.fail('an object');
    return new Saved((value as Record<string, unknown>)[name], what, path === '' ? name : `${path}.${name}`);
  }

  get missing(): boolean {
    return this.value === undefined;
  }

  get isNull(): boolean {
    return this.value === null;
  }

  /** Refuses everything but this value; `null` and left out are values too. */
  exactly(expected: string | number | null | undefined, fix?: string): void {
    if (this.value !== expected) this.fail(shown(expected), fix);
  }

  number(lower: number = -Infinity): number {
    const { value } = this;
    if (typeof value === 'number' && Number.isFinite(value) && value >= lower) return value;
    return this.fail(lower === -Infinity ? 'a finite number' : `a finite number of at least ${lower}`);
  }

  /** A whole number in [lower, upper]. */
  integer(lower: number = 0, upper: number = Number.MAX_SAFE_INTEGER): number {
    const { value } = this;
    if (typeof value === 'number' && Number.isInteger(value) && value >= lower && value <= upper) return value;
    const range = upper === Number.MAX_SAFE_INTEGER ? `of at least ${lower}` : `from ${lower} to ${upper}`;
    return this.fail(`a whole number ${range}`);
  }

  boolean(): boolean {
    const { value } = this;
    return typeof value === 'boolean' ? value : this.fail('true or false');
  }

  text(): string {
    const { value } = this;
    return typeof value === 'string' ? value : this.fail('a text');
  }

  oneOf<T extends string>(choices: readonly T[]): T {
    return choices.find((choice) => choice === this.value) ?? this.fail(`one of ${choices.join(', ')}`);
  }

  /** @param length how many there must be, if that is known */
  items(length?: number): Saved[] {
    const { value, what, path } = this;
    if (!Array.isArray(value) || (length !== undefined && value.length !== length)) {
      return this.fail(length === undefined ? 'a list' : `a list of ${length}`);
    }
    return Array.from(value as unknown[], (item, index) => new Saved(item, what, `${path}[${index}]`));
  }

  /** Finite numbers. @param length how many there must be, if that is known */
  numbers(length?: number): readonly number[] {
    const { value } = this;
    if (!Array.isArray(value) || (length !== undefined && value.length !== length)) {
      return this.fail(`a list of ${length === undefined ? '' : `${length} `}finite numbers`);
    }
    // No object per number: a history holds every gene ever asked.
    for (let i = 0; i < value.length; i++) if (!Number.isFinite(value[i])) this.items()[i]!.fail('a finite number');
    return value as number[];
  }

  /** Passes the value to a check of its own; what that finds wrong is told of this field. */
  check(run: () => void): void {
    try {
      run();
    } catch (error) {
      if (!(error instanceof Nsga2Error)) throw error;
      throw new Nsga2Error(
        'invalid-state',
        `${this.path} of ${this.what}: ${error.message}`,
        { field: this.path, ...error.details },
        { cause: error },
      );
    }
  }
}

/** Short enough for a message. */
function shown(value: unknown): string {
  if (value === undefined) return 'missing';
  if (typeof value === 'string') return JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}…` : value);
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (typeof value === 'number' || typeof value === 'boolean' || value === null) return String(value);
  return `of type ${typeof value}`;
}
