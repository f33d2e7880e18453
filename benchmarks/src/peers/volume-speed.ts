// Exact hypervolume, and what each point adds to it, of this repository against moocore's: the same fronts, one after the other, CPU time.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { hypervolume, hypervolumeContributions, Random } from '@instatune/nsga2';

type Size = readonly [objectives: number, points: number];
type Points = readonly (readonly number[])[];

const sizesOf = (objectives: readonly number[], points: readonly number[]): readonly Size[] =>
  objectives.flatMap((m) => points.map((n) => [m, n] as const));

/** What is timed: the sizes of fronts, and the numbers that must agree. */
const MEASURES = {
  hypervolume: {
    sizes: [...sizesOf([3, 4], [100, 1000, 10_000]), ...sizesOf([5, 6], [100, 300, 1000])],
    of: (front: Points, reference: readonly number[]): ArrayLike<number> => [hypervolume(front, reference)],
    within: (value: number): number => 1e-9 * value,
  },
  contributions: {
    sizes: [...sizesOf([2, 3], [100, 1000, 10_000]), ...sizesOf([4], [100])],
    of: (front: Points, reference: readonly number[]): ArrayLike<number> => hypervolumeContributions(front, reference),
    // moocore takes one hypervolume from another in four objectives: digits of the whole, which is of the order of 1.
    within: (): number => 1e-8,
  },
} as const;

/** Points in all the fronts of a size: a small front alone, again and again, would time how well a processor foretells its branches. */
const POINTS_A_SIZE = 5000;

/** Points of the unit sphere's positive part, mirrored: mutually non-dominated. */
function sphere(objectives: number, points: number, seed: number): number[][] {
  const random = new Random(objectives * 100_003 + points + seed);
  return Array.from({ length: points }, () => {
    const direction = Array.from({ length: objectives }, () => Math.abs(random.normal()));
    const length = Math.hypot(...direction);
    return direction.map((value) => 1 - value / length);
  });
}

/** One row a size: CPU time a front, the least of the repeats in half a second, at least three. @param python with moocore */
export function volumeRows(
  what: keyof typeof MEASURES,
  python: string,
  quick: boolean,
): readonly Record<string, unknown>[] {
  const { sizes: all, of, within } = MEASURES[what];
  const sizes = all.filter(([objectives, points]) => !quick || points <= (objectives < 5 ? 1000 : 300));
  const sets = sizes.map(([objectives, points]) => {
    // moocore takes seconds for a front of 1,000 in six objectives.
    const count = objectives > 5 && points > 100 ? 1 : Math.max(1, POINTS_A_SIZE / points);
    return Array.from({ length: count }, (_, seed) => sphere(objectives, points, seed));
  });
  const { status, stdout, stderr } = spawnSync(python, [join(import.meta.dirname, '../../peers/moocore_speed.py')], {
    input: JSON.stringify({ what, sets }),
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  });
  if (status !== 0) throw new Error(`${python}: ${stderr}`);
  const theirs = JSON.parse(stdout) as {
    readonly version: string;
    readonly rows: readonly { readonly values: readonly (readonly number[])[]; readonly seconds: number }[];
  };
  return sizes.map(([objectives, points], index) => {
    const reference = Array.from({ length: objectives }, () => 1);
    const fronts = sets[index]!;
    const seconds: number[] = [];
    let values: readonly ArrayLike<number>[] = [];
    while (seconds.length < 3 || seconds.reduce((a, b) => a + b, 0) * fronts.length < 0.5) {
      const before = process.cpuUsage();
      values = fronts.map((front) => of(front, reference));
      const { user, system } = process.cpuUsage(before);
      seconds.push((user + system) / 1e6 / fronts.length);
    }
    const own = Math.min(...seconds);
    const other = theirs.rows[index]!;
    other.values.forEach((theirValues, n) => {
      const differs = theirValues.findIndex((value, i) => Math.abs(values[n]![i]! - value) > within(value));
      if (differs >= 0)
        throw new Error(
          `${what}, ${objectives} objectives, ${points} points: ${values[n]![differs]} here, ${theirValues[differs]} by moocore`,
        );
    });
    return {
      objectives,
      points,
      fronts: fronts.length,
      ms: Number((1000 * own).toPrecision(3)),
      moocoreMs: Number((1000 * other.seconds).toPrecision(3)),
      timesOfMoocore: Number((own / other.seconds).toPrecision(3)),
      moocore: theirs.version,
    };
  });
}
