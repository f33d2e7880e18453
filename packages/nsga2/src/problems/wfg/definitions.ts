// WFG1–9 as transformations and shapes (Huband, Hingston, Barone and While 2006, table XIV).
import { concave, convex, disconnected, linear, mixed, type Shape } from './shapes.ts';
import {
  deceptiveShift,
  dependentBias,
  dependentPower,
  flatBias,
  linearShift,
  multimodalShift,
  nonSeparable,
  polynomialBias,
  weightedSum,
} from './transformations.ts';

/** How many objectives, and of the variables how many say where on the front (the rest how far from it). */
export interface WfgSizes {
  readonly objectives: number;
  readonly position: number;
  readonly variables: number;
}

export interface WfgDefinition {
  /** Variables in [0, 1] → M values in [0, 1], the last of which is the distance from the front. */
  readonly transform: (y: Float64Array, sizes: WfgSizes) => number[];
  readonly shape: Shape;
  /** The shape of the last objective where it is another. */
  readonly last?: (x: readonly number[]) => number;
  /** The front is a line. */
  readonly degenerate?: boolean;
  /** Distance parameters of an optimal solution with these position parameters, written in place. @defaultValue 0.35 each */
  readonly optimum?: (y: Float64Array, sizes: WfgSizes) => void;
}

const OPTIMUM = 0.35;
/** The dependent bias of WFG7–9. */
const BIAS = [0.98 / 49.98, 0.02, 50] as const;

type Group = (y: Float64Array, from: number, to: number) => number;

/** One value for each of M − 1 groups of position parameters, one for the `distance` parameters that are left. */
function reduce(y: Float64Array, { objectives, position }: WfgSizes, end: number, group: Group): number[] {
  const size = position / (objectives - 1);
  const groups = Array.from({ length: objectives - 1 }, (_, i) => group(y, i * size, (i + 1) * size));
  return [...groups, group(y, position, end)];
}

const shiftDistance = (y: Float64Array, { position }: WfgSizes): void => {
  for (let i = position; i < y.length; i++) y[i] = linearShift(y[i]!, OPTIMUM);
};

/** Pairs of distance parameters become one. @returns the end of what is left */
function pairUp(y: Float64Array, { position, variables }: WfgSizes): number {
  const pairs = (variables - position) / 2;
  for (let i = 0; i < pairs; i++) y[position + i] = nonSeparable(y, position + 2 * i, position + 2 * i + 2, 2);
  return position + pairs;
}

const means = (y: Float64Array, from: number, to: number): number => weightedSum(y, from, to);

const wholeGroup: Group = (y, from, to) => nonSeparable(y, from, to, to - from);

const paired: WfgDefinition['transform'] = (y, sizes) => {
  shiftDistance(y, sizes);
  return reduce(y, sizes, pairUp(y, sizes), means);
};

/** y to the power whose inverse the bias undoes. */
const undone = (u: number): number => OPTIMUM ** (1 / dependentPower(u, ...BIAS));

export const WFG: Readonly<Record<1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9, WfgDefinition>> = {
  1: {
    transform(y, sizes) {
      shiftDistance(y, sizes);
      for (let i = sizes.position; i < y.length; i++) y[i] = flatBias(y[i]!, 0.8, 0.75, 0.85);
      for (let i = 0; i < y.length; i++) y[i] = polynomialBias(y[i]!, 0.02);
      return reduce(y, sizes, y.length, (values, from, to) => weightedSum(values, from, to, (i) => 2 * (i + 1)));
    },
    shape: convex,
    last: (x) => mixed(x, 5),
  },
  2: { transform: paired, shape: convex, last: (x) => disconnected(x, 5) },
  3: { transform: paired, shape: linear, degenerate: true },
  4: {
    transform(y, sizes) {
      for (let i = 0; i < y.length; i++) y[i] = multimodalShift(y[i]!, 30, 10, OPTIMUM);
      return reduce(y, sizes, y.length, means);
    },
    shape: concave,
  },
  5: {
    transform(y, sizes) {
      for (let i = 0; i < y.length; i++) y[i] = deceptiveShift(y[i]!, OPTIMUM, 0.001, 0.05);
      return reduce(y, sizes, y.length, means);
    },
    shape: concave,
  },
  6: {
    transform(y, sizes) {
      shiftDistance(y, sizes);
      return reduce(y, sizes, y.length, wholeGroup);
    },
    shape: concave,
  },
  7: {
    transform(y, sizes) {
      // Each depends on those after it, which are as they were when its turn comes.
      for (let i = 0; i < sizes.position; i++) y[i] = dependentBias(y[i]!, weightedSum(y, i + 1, y.length), ...BIAS);
      shiftDistance(y, sizes);
      return reduce(y, sizes, y.length, means);
    },
    shape: concave,
  },
  8: {
    transform(y, sizes) {
      for (let i = y.length - 1; i >= sizes.position; i--) y[i] = dependentBias(y[i]!, weightedSum(y, 0, i), ...BIAS);
      shiftDistance(y, sizes);
      return reduce(y, sizes, y.length, means);
    },
    shape: concave,
    optimum(y, { position }) {
      for (let i = position; i < y.length; i++) y[i] = undone(weightedSum(y, 0, i));
    },
  },
  9: {
    transform(y, sizes) {
      for (let i = 0; i < y.length - 1; i++) y[i] = dependentBias(y[i]!, weightedSum(y, i + 1, y.length), ...BIAS);
      for (let i = 0; i < sizes.position; i++) y[i] = deceptiveShift(y[i]!, OPTIMUM, 0.001, 0.05);
      for (let i = sizes.position; i < y.length; i++) y[i] = multimodalShift(y[i]!, 30, 95, OPTIMUM);
      return reduce(y, sizes, y.length, wholeGroup);
    },
    shape: concave,
    optimum(y, { position }) {
      y[y.length - 1] = OPTIMUM;
      for (let i = y.length - 2; i >= position; i--) y[i] = undone(weightedSum(y, i + 1, y.length));
    },
  },
};
