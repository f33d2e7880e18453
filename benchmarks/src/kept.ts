// What a long benchmark has measured so far, in a file: a run that ends early is gone on with.
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';

type Row = Record<string, unknown>;

/** Rows by the name of the step that measured them. */
export class KeptRows {
  readonly #path: string | undefined;
  readonly #steps: Map<string, Row[]>;

  /** @param path absent: nothing is kept @throws SyntaxError where the file holds no JSON */
  constructor(path: string | undefined) {
    this.#path = path;
    const text = path && existsSync(path) ? readFileSync(path, 'utf8') : '{}';
    this.#steps = new Map(Object.entries(JSON.parse(text) as Record<string, Row[]>));
  }

  /** The rows of a step: those of an earlier run, or measured now and kept at once. */
  async of(step: string, measure: () => Promise<Row[]>): Promise<Row[]> {
    const known = this.#steps.get(step);
    if (known) return known;
    const rows = await measure();
    this.#steps.set(step, rows);
    if (this.#path) {
      // Whole or not at all, whenever the process ends.
      writeFileSync(`${this.#path}.new`, JSON.stringify(Object.fromEntries(this.#steps), undefined, 1));
      renameSync(`${this.#path}.new`, this.#path);
    }
    return rows;
  }
}
