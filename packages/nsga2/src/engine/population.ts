// Individuals as a structure of arrays: genes, objectives and violations each in one typed array.
import type { GeneLayout } from '../layout.ts';

/** One evaluated candidate, as callers see it. */
export interface Individual {
  /** Number of the candidate in its run, 0 for the first. */
  readonly id: number;
  readonly genes: readonly number[];
  /** Empty when the evaluation failed. */
  readonly objectives: readonly number[];
  /** Constraint violation; 0 is feasible, Infinity a failed evaluation. */
  readonly violation: number;
  /** Front within the population at the last survival, 0 the best. */
  readonly rank: number;
  /** Crowding distance at the last survival (NSGA-II), 0 for NSGA-III. */
  readonly crowding: number;
}

/** A growable set of individuals. */
export class Population {
  readonly width: number;
  readonly dimension: number;
  size = 0;
  genes: Float64Array;
  objectives: Float64Array;
  violations: Float64Array;
  crowding: Float64Array;
  ids: Float64Array;
  ranks: Int32Array;

  constructor(width: number, dimension: number, capacity: number) {
    this.width = width;
    this.dimension = dimension;
    this.genes = new Float64Array(capacity * width);
    this.objectives = new Float64Array(capacity * dimension);
    this.violations = new Float64Array(capacity);
    this.crowding = new Float64Array(capacity);
    this.ids = new Float64Array(capacity);
    this.ranks = new Int32Array(capacity);
  }

  static for(layout: GeneLayout, dimension: number, capacity: number): Population {
    return new Population(layout.width, dimension, capacity);
  }

  /** Appends an individual; missing objectives (a failed evaluation) are stored as Infinity. */
  add(id: number, genes: ArrayLike<number>, objectives: ArrayLike<number>, violation: number): number {
    this.reserve(this.size + 1);
    const row = this.size++;
    this.genes.set(genes, row * this.width);
    const offset = row * this.dimension;
    for (let k = 0; k < this.dimension; k++) this.objectives[offset + k] = objectives[k] ?? Infinity;
    this.violations[row] = violation;
    this.ids[row] = id;
    this.ranks[row] = 0;
    this.crowding[row] = 0;
    return row;
  }

  /** Appends copies of rows of another population. */
  addRows(other: Population, rows: ArrayLike<number>): void {
    this.reserve(this.size + rows.length);
    for (let n = 0; n < rows.length; n++) {
      const from = rows[n]!;
      const to = this.size++;
      for (let g = 0; g < this.width; g++) this.genes[to * this.width + g] = other.genes[from * this.width + g]!;
      for (let k = 0; k < this.dimension; k++) {
        this.objectives[to * this.dimension + k] = other.objectives[from * this.dimension + k]!;
      }
      this.violations[to] = other.violations[from]!;
      this.crowding[to] = other.crowding[from]!;
      this.ids[to] = other.ids[from]!;
      this.ranks[to] = other.ranks[from]!;
    }
  }

  /** Appends copies of all of another population. */
  addAll(other: Population): void {
    this.addRows(
      other,
      Int32Array.from({ length: other.size }, (_, row) => row),
    );
  }

  clear(): void {
    this.size = 0;
  }

  individual(row: number): Individual {
    const failed = this.violations[row] === Infinity;
    return {
      id: this.ids[row]!,
      genes: Array.from(this.genes.subarray(row * this.width, (row + 1) * this.width)),
      objectives: failed ? [] : Array.from(this.objectives.subarray(row * this.dimension, (row + 1) * this.dimension)),
      violation: this.violations[row]!,
      rank: this.ranks[row]!,
      crowding: this.crowding[row]!,
    };
  }

  individuals(): Individual[] {
    return Array.from({ length: this.size }, (_, row) => this.individual(row));
  }

  private reserve(capacity: number): void {
    if (capacity <= this.violations.length) return;
    const grown = Math.max(capacity, 2 * this.violations.length, 16);
    this.genes = enlarge(this.genes, grown * this.width);
    this.objectives = enlarge(this.objectives, grown * this.dimension);
    this.violations = enlarge(this.violations, grown);
    this.crowding = enlarge(this.crowding, grown);
    this.ids = enlarge(this.ids, grown);
    const ranks = new Int32Array(grown);
    ranks.set(this.ranks);
    this.ranks = ranks;
  }
}

function enlarge(array: Float64Array, length: number): Float64Array {
  const larger = new Float64Array(length);
  larger.set(array);
  return larger;
}
