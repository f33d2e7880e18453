// Exact hypervolume of this repository against moocore's: the same fronts, one after the other, CPU time.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { hypervolume, Random } from '@instatune/nsga2';

/** Objectives and points of the fronts. */
const SIZES: readonly (readonly [objectives: number, points: number])[] = [
  ...[3, 4].flatMap((objectives) => [100, 1000, 10_000].map((points) => [objectives, points] as const)),
  ...[5, 6].flatMap((objectives) => [100, 300, 1000].map((points) => [objectives, points] as const)),
];

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
export function volumeRows(python: string, quick: boolean): readonly Record<string, unknown>[] {
  const sizes = SIZES.filter(([objectives, points]) => !quick || points <= (objectives < 5 ? 1000 : 300));
  const sets = sizes.map(([objectives, points]) => {
    // moocore takes seconds for a front of 1,000 in six objectives.
    const count = objectives > 5 && points > 100 ? 1 : Math.max(1, POINTS_A_SIZE / points);
    return Array.from({ length: count }, (_, seed) => sphere(objectives, points, seed));
  });
  const { status, stdout, stderr } = spawnSync(python, [join(import.meta.dirname, '../../peers/moocore_speed.py')], {
    input: JSON.stringify(sets),
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  });
  if (status !== 0) throw new Error(`${python}: ${stderr}`);
  const theirs = JSON.parse(stdout) as {
    readonly version: string;
    readonly rows: readonly { readonly volumes: readonly number[]; readonly seconds: number }[];
  };
  return sizes.map(([objectives, points], index) => {
    const reference = Array.from({ length: objectives }, () => 1);
    const fronts = sets[index]!;
    const seconds: number[] = [];
    let volumes: readonly number[] = [];
    while (seconds.length < 3 || seconds.reduce((a, b) => a + b, 0) * fronts.length < 0.5) {
      const before = process.cpuUsage();
      volumes = fronts.map((front) => hypervolume(front, reference));
      const { user, system } = process.cpuUsage(before);
      seconds.push((user + system) / 1e6 / fronts.length);
    }
    const own = Math.min(...seconds);
    const other = theirs.rows[index]!;
    other.volumes.forEach((volume, n) => {
      if (Math.abs(volumes[n]! - volume) / volume > 1e-9)
        throw new Error(`${objectives} objectives, ${points} points: ${volumes[n]} here, ${volume} by moocore`);
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
