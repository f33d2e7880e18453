// Objectives and constraints of MW1–14 (Ma and Wang 2019, table I).

export interface MwDefinition {
  /** Any number of objectives. */
  readonly many?: boolean;
  readonly inequality: number;
  /** Upper bound of the variables. @defaultValue 1 */
  readonly upper?: number;
  /** The first variable whose objective is this share of its range. @defaultValue in proportion */
  readonly first?: (share: number, variables: number) => number;
  /** How far from the unconstrained front; 1 on it. */
  readonly distance: (x: readonly number[], m: number) => number;
  /** Objectives, given the first variables and the distance. */
  readonly point: (x: readonly number[], g: number, m: number) => number[];
  /** Satisfied where <= 0. */
  readonly constraints: (f: readonly number[]) => number[];
}

const { abs, atan2, cos, exp, PI, sin, sqrt } = Math;
const quarter = PI / 2;

/** Distances: with bias, with many optima, with variables that depend on each other. */
function biased(x: readonly number[], m: number): number {
  const n = x.length;
  let g = 1;
  for (let i = m - 1; i < n; i++) g += 1 - exp(-10 * (x[i]! ** (n - m) - 0.5 - i / (2 * n)) ** 2);
  return g;
}

function multimodal(x: readonly number[], m: number): number {
  const n = x.length;
  let g = 1;
  for (let i = m - 1; i < n; i++) {
    const z = 1 - exp(-10 * (x[i]! - i / n) ** 2);
    g += 1.5 + (0.1 / n) * z ** 2 - 1.5 * cos(2 * PI * z);
  }
  return g;
}

function dependent(x: readonly number[], m: number): number {
  let g = 1;
  for (let i = m - 1; i < x.length; i++) g += 2 * (x[i]! + (x[i - 1]! - 0.5) ** 2 - 1) ** 2;
  return g;
}

/** Two objectives: the first given, the second on a curve that the distance scales. */
const curve =
  (height: (share: number) => number) =>
  (x: readonly number[], g: number): number[] => [g * x[0]!, g * height(x[0]!)];

/** √(f₁ − f₀ turned by 45°): where along the diagonal constraints lie. */
const along = ([a = 0, b = 0]: readonly number[]): number => Math.SQRT2 * (b - a);

const circle = (radius: number) => curve((share) => sqrt(Math.max(0, radius ** 2 - share ** 2)));

const wave = (height: number, f: readonly number[], times: number, power: number): number =>
  height * sin(times * PI * along(f)) ** power;

export const MW: Readonly<Record<number, MwDefinition>> = {
  1: {
    inequality: 1,
    distance: biased,
    point: ([a = 0], g) => [a, g - 0.85 * a],
    constraints: (f) => [f[0]! + f[1]! - 1 - wave(0.5, f, 2, 8)],
  },
  2: {
    inequality: 1,
    distance: multimodal,
    point: ([a = 0], g) => [a, g - a],
    constraints: (f) => [f[0]! + f[1]! - 1 - wave(0.5, f, 3, 8)],
  },
  3: {
    inequality: 2,
    distance: dependent,
    point: ([a = 0], g) => [a, g - a],
    constraints: (f) => [f[0]! + f[1]! - 1.05 - wave(0.45, f, 0.75, 6), 0.85 - f[0]! - f[1]! + wave(0.3, f, 0.75, 2)],
  },
  4: {
    many: true,
    inequality: 1,
    distance: biased,
    point: (x, g, m) =>
      Array.from({ length: m }, (_, j) => {
        let value = j === 0 ? g : g * x[m - 1 - j]!;
        for (let i = 0; i < m - 1 - j; i++) value *= 1 - x[i]!;
        return value;
      }),
    constraints(f) {
      const total = f.reduce((a, b) => a + b, 0);
      return [total - 1 - 0.4 * sin(2.5 * PI * (2 * f.at(-1)! - total)) ** 8];
    },
  },
  5: {
    inequality: 3,
    distance: biased,
    point: circle(1),
    constraints([a = 0, b = 0]) {
      const square = a * a + b * b;
      const angle = atan2(b, a);
      const fold = quarter - 2 * abs(angle - PI / 4);
      return [
        square - (1.7 - 0.2 * sin(2 * angle)) ** 2,
        (1 + 0.5 * sin(6 * fold ** 3)) ** 2 - square,
        (1 - 0.45 * sin(6 * fold ** 3)) ** 2 - square,
      ];
    },
  },
  6: {
    inequality: 1,
    upper: 1.1,
    distance: multimodal,
    point: circle(1.1),
    constraints([a = 0, b = 0]) {
      const bump = cos(6 * atan2(b, a) ** 4) ** 10;
      return [(a / (1 + 0.15 * bump)) ** 2 + (b / (1 + 0.75 * bump)) ** 2 - 1];
    },
  },
  7: {
    inequality: 2,
    distance: dependent,
    point: circle(1),
    constraints([a = 0, b = 0]) {
      const square = a * a + b * b;
      const angle = sin(4 * atan2(b, a));
      return [square - (1.2 + abs(0.4 * angle ** 16)) ** 2, (1.15 - 0.2 * angle ** 8) ** 2 - square];
    },
  },
  8: {
    many: true,
    inequality: 1,
    distance: multimodal,
    point: (x, g, m) =>
      Array.from({ length: m }, (_, j) => {
        let value = j === 0 ? g : g * sin(quarter * x[m - 1 - j]!);
        for (let i = 0; i < m - 1 - j; i++) value *= cos(quarter * x[i]!);
        return value;
      }),
    constraints(f) {
      const square = f.reduce((a, b) => a + b * b, 0);
      return [square - (1.25 - 0.5 * sin(6 * Math.asin(f.at(-1)! / sqrt(square))) ** 2) ** 2];
    },
  },
  9: {
    inequality: 1,
    distance: biased,
    point: curve((share) => 1 - share ** 0.6),
    constraints([a = 0, b = 0]) {
      const square = a * a;
      return [
        Math.min(
          (1 - 0.64 * square - b) * (1 - 0.36 * square - b),
          (1.35 ** 2 - (a + 0.35) ** 2 - b) * (1.15 ** 2 - (a + 0.15) ** 2 - b),
        ),
      ];
    },
  },
  10: {
    inequality: 3,
    distance: multimodal,
    first: (share, variables) => share ** (1 / variables),
    point: (x, g) => curve((share) => 1 - share ** 2)([x[0]! ** x.length], g),
    constraints([a = 0, b = 0]) {
      const square = a * a;
      return [
        -(2 - 4 * square - b) * (2 - 8 * square - b),
        (2 - 2 * square - b) * (2 - 16 * square - b),
        (1 - square - b) * (1.2 - 1.2 * square - b),
      ];
    },
  },
  11: {
    inequality: 4,
    upper: Math.SQRT2,
    distance: dependent,
    point: circle(Math.SQRT2),
    constraints([a = 0, b = 0]) {
      const square = a * a;
      return [
        -(3 - square - b) * (3 - 2 * square - b),
        (3 - 0.625 * square - b) * (3 - 7 * square - b),
        -(1.62 - 0.18 * square - b) * (1.125 - 0.125 * square - b),
        (2.07 - 0.23 * square - b) * (0.63 - 0.07 * square - b),
      ];
    },
  },
  12: {
    inequality: 2,
    distance: biased,
    point: curve((share) => 0.85 - 0.8 * share - 0.08 * abs(sin(3.2 * PI * share))),
    constraints([a = 0, b = 0]) {
      const ripple = (over: number, by: number): number => 0.08 * sin(2 * PI * (b / over - a / by));
      return [
        -(1 - 0.625 * a - b + ripple(1, 1.6)) * (1.4 - 0.875 * a - b + ripple(1.4, 1.6)),
        (1 - 0.8 * a - b + ripple(1, 1.5)) * (1.8 - 1.125 * a - b + ripple(1.8, 1.6)),
      ];
    },
  },
  13: {
    inequality: 2,
    upper: 1.5,
    distance: multimodal,
    point: curve((share) => 5 - exp(share) - abs(0.5 * sin(3 * PI * share))),
    constraints([a = 0, b = 0]) {
      const rest = 5 - 0.5 * sin(3 * PI * a) - b;
      return [-(rest - (1 + a + 0.5 * a * a)) * (rest - (1 + 0.7 * a)), (rest - exp(a)) * (rest - (1 + 0.4 * a))];
    },
  },
  14: {
    many: true,
    inequality: 1,
    upper: 1.5,
    distance: dependent,
    point(x, g, m) {
      const first = x.slice(0, m - 1);
      const inner = first.reduce((total, value) => total + 6 - exp(value) - 1.5 * sin(1.1 * PI * value ** 2), 0);
      return [...first, (g / (m - 1)) * inner];
    },
    constraints(f) {
      const first = f.slice(0, -1);
      const outer = first.reduce(
        (total, value) => total + 6.1 - 1 - value - 0.5 * value ** 2 - 1.5 * sin(1.1 * PI * value ** 2),
        0,
      );
      return [f.at(-1)! - outer / first.length];
    },
  },
};
