// Whether what two studies, or a study and a problem, say of their genes and objectives means the same.
import type { StudyHeader } from './header.ts';

/** What is compared of an objective. */
export type ComparedObjective = Pick<StudyHeader['objectives'][number], 'name'> & {
  readonly direction?: 'minimize' | 'maximize';
  readonly unit?: string;
};

/** JSON with the fields of every object in order: equal for equal things, however they were written. */
function ordered(value: unknown): string {
  return JSON.stringify(value, (_, item: unknown) =>
    typeof item === 'object' && item !== null && !Array.isArray(item)
      ? Object.fromEntries(Object.entries(item).sort(([a], [b]) => (a < b ? -1 : 1)))
      : item,
  );
}

/** Whether two spaces have the same variables, by name, type, range and values, in the same order. */
export function sameSpace(here: readonly unknown[], there: readonly unknown[]): boolean {
  return ordered(here) === ordered(there);
}

/**
 * The first objective that both have and do not mean alike, in words: another direction, or another unit. A unit that only one of them gives is
 * another one for objectives in `strict`, and may be the same for others.
 */
export function objectiveMismatch(
  here: readonly ComparedObjective[],
  there: readonly ComparedObjective[],
  strict: ReadonlySet<string>,
): string | undefined {
  for (const { name, direction = 'minimize', unit } of here) {
    const other = there.find((objective) => objective.name === name);
    if (!other) continue;
    const { direction: otherDirection = 'minimize' } = other;
    if (otherDirection !== direction) return `${name} to ${otherDirection}, here it is to ${direction}`;
    const known = (unit !== undefined && other.unit !== undefined) || strict.has(name);
    if (known && unit !== other.unit) return `${name} in ${unitOf(other.unit)}, here it is in ${unitOf(unit)}`;
  }
  return undefined;
}

const unitOf = (unit: string | undefined): string => (unit === undefined ? 'no unit' : `"${unit}"`);
