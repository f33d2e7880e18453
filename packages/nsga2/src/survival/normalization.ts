// Normalisation of NSGA-III: ideal point, extreme points and the intercepts of the hyperplane through them.
import { widthOf } from '../range.ts';

/** An intercept nearer to the ideal than this share of what the population spans is taken as degenerate. */
const NARROW = 1e-6;
/** Objectives closer to the ideal than this share of the front's span count as reached when extreme points are chosen. */
const NEAR_IDEAL = 1e-3;
/** Weight of the other objectives in the achievement function that finds the extreme point of an axis. */
const OFF_AXIS = 1e6;
/** A pivot of the hyperplane's equations below this, all their terms being of the order of 1, makes them singular. */
const SINGULAR = 1e-12;

/** JSON of a {@link Normalization}; empty arrays before the first update. */
export interface NormalizationState {
  readonly ideal: readonly number[];
  readonly worst: readonly number[];
  readonly extremes: readonly (readonly number[])[];
  /** Of the last update, for those who ask between two of them. */
  readonly widths?: readonly number[];
}

/**
 * Ideal, extreme and nadir points, updated from generation to generation (Deb and Jain 2014, §IV-C). Every threshold is a
 * share of a span of the points themselves: what is selected does not depend on the unit of an objective.
 */
export class Normalization {
  readonly dimension: number;
  ideal: number[];
  nadir: number[] = [];
  /** nadir − ideal; 0 for an axis in which all agree, but for rounding. */
  widths: number[] = [];
  private worst: number[];
  private extremes: number[][] = [];

  constructor(dimension: number, state?: NormalizationState) {
    this.dimension = dimension;
    const known = state !== undefined && state.ideal.length > 0;
    this.ideal = known ? [...state.ideal] : Array.from({ length: dimension }, () => Infinity);
    this.worst = known ? [...state.worst] : Array.from({ length: dimension }, () => -Infinity);
    if (known) this.extremes = state.extremes.map((point) => [...point]);
    this.widths = [...(state?.widths ?? [])];
  }

  toJSON(): NormalizationState {
    const known = this.extremes.length > 0;
    return { ideal: known ? this.ideal : [], worst: known ? this.worst : [], extremes: this.extremes };
  }

  /**
   * @param values feasible objective vectors, packed
   * @param front rows that no other row dominates
   */
  update(values: Float64Array, count: number, front: Int32Array): void {
    const { dimension } = this;
    const highest = Array.from({ length: dimension }, () => -Infinity);
    for (let i = 0; i < count; i++) {
      for (let k = 0; k < dimension; k++) {
        const value = values[i * dimension + k]!;
        if (value < this.ideal[k]!) this.ideal[k] = value;
        if (value > this.worst[k]!) this.worst[k] = value;
        if (value > highest[k]!) highest[k] = value;
      }
    }
    const candidates = [...this.extremes];
    const frontHighest = Array.from({ length: dimension }, () => -Infinity);
    for (const row of front) {
      const point = Array.from(values.subarray(row * dimension, (row + 1) * dimension));
      candidates.push(point);
      for (let k = 0; k < dimension; k++) frontHighest[k] = Math.max(frontHighest[k]!, point[k]!);
    }
    // Not of the kept extremes: one from long ago would make everything on the front of today look near the ideal.
    const spans = frontHighest.map((high, k) => widthOf(this.ideal[k]!, high));
    if (this.extremes.length === 0 || spans.some((span) => span > 0)) {
      this.extremes = Array.from({ length: dimension }, (_, axis) => this.extremeOf(axis, candidates, spans));
    }
    const whole = highest.map((high, k) => widthOf(this.ideal[k]!, high));
    this.nadir = this.intercepts(spans, whole) ?? frontHighest;
    for (let k = 0; k < dimension; k++) {
      if (this.nadir[k]! - this.ideal[k]! <= NARROW * whole[k]!) this.nadir[k] = highest[k]!;
    }
    this.widths = this.nadir.map((value, k) => widthOf(this.ideal[k]!, value));
  }

  /** How far a point is from the ideal in objective k, in units of the front's span. */
  private excess(point: readonly number[], k: number, span: number): number {
    return span > 0 ? (point[k]! - this.ideal[k]!) / span : 0;
  }

  private extremeOf(axis: number, candidates: readonly number[][], spans: readonly number[]): number[] {
    let best = candidates[0]!;
    let least = Infinity;
    for (const point of candidates) {
      let achievement = -Infinity;
      for (let k = 0; k < this.dimension; k++) {
        const excess = this.excess(point, k, spans[k]!);
        const weighted = (excess < NEAR_IDEAL ? 0 : excess) * (k === axis ? 1 : OFF_AXIS);
        if (weighted > achievement) achievement = weighted;
      }
      if (achievement < least) {
        least = achievement;
        best = point;
      }
    }
    return [...best];
  }

  /** Where the hyperplane through the extreme points cuts the axes; undefined where there is no sensible one. */
  private intercepts(spans: readonly number[], whole: readonly number[]): number[] | undefined {
    const rows = this.extremes.map((point) => [...point.map((_, k) => this.excess(point, k, spans[k]!)), 1]);
    const plane = solve(rows);
    if (!plane) return undefined;
    const widths = plane.map((coefficient, k) => spans[k]! / coefficient);
    const sensible = widths.every(
      (width, k) =>
        Number.isFinite(width) &&
        width > NARROW * whole[k]! &&
        width <= this.worst[k]! - this.ideal[k]! + NARROW * whole[k]!,
    );
    return sensible ? widths.map((width, k) => this.ideal[k]! + width) : undefined;
  }
}

/** Gaussian elimination with partial pivoting on an augmented matrix of terms up to the order of 1; undefined when singular. */
function solve(rows: number[][]): number[] | undefined {
  const n = rows.length;
  for (let column = 0; column < n; column++) {
    let pivot = column;
    for (let r = column + 1; r < n; r++) if (Math.abs(rows[r]![column]!) > Math.abs(rows[pivot]![column]!)) pivot = r;
    if (Math.abs(rows[pivot]![column]!) < SINGULAR) return undefined;
    [rows[column], rows[pivot]] = [rows[pivot]!, rows[column]!];
    for (let r = 0; r < n; r++) {
      if (r === column) continue;
      const factor = rows[r]![column]! / rows[column]![column]!;
      for (let c = column; c <= n; c++) rows[r]![c]! -= factor * rows[column]![c]!;
    }
  }
  return rows.map((row, r) => row[n]! / row[r]!);
}
