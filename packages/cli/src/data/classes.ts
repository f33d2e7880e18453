// Class names out of a column of labels.
import { TuneError } from '../errors.ts';

/** Classes beyond this many, or beyond half of the rows, are hardly classes. */
const MOST_CLASSES = 1000;

/**
 * The classes of a column: of whole numbers from 0 on each number is one, else each distinct text, sorted.
 *
 * @param known the checkpoint's own class names; where they are the column's, their order is kept, and with it the checkpoint's head
 * @throws TuneError `invalid-data` for fewer than two classes, or so many that the column is none of classes
 */
export function classesOf(labels: readonly string[], known: readonly string[] = []): readonly string[] {
  const distinct = [...new Set(labels)];
  if (distinct.length < 2)
    throw new TuneError(
      'invalid-data',
      `the labels have one class, ${JSON.stringify(distinct[0] ?? '')}: two are needed`,
      {
        classes: distinct,
      },
    );
  if (distinct.length > Math.min(MOST_CLASSES, Math.max(2, labels.length / 2))) {
    const some = distinct.slice(0, 3).map((label) => JSON.stringify(label));
    throw new TuneError(
      'invalid-data',
      `${labels.length} labels have ${distinct.length} different values (${some.join(', ')}, …): give --label the column of classes`,
      { classes: distinct.length },
    );
  }
  if (known.length >= distinct.length && distinct.every((label) => known.includes(label))) return known;
  if (!distinct.every((label) => /^\d+$/.test(label))) return distinct.sort();
  const count = 1 + Math.max(...distinct.map(Number));
  if (count > Math.max(distinct.length * 2, 10))
    throw new TuneError(
      'invalid-data',
      `labels are numbers up to ${count - 1}, but only ${distinct.length} of them: number classes from 0 on`,
      {
        highest: count - 1,
      },
    );
  if (known.length === count) return known;
  return Array.from({ length: count }, (_, index) => String(index));
}

/** Index of each label. @throws TuneError `invalid-data` naming the first that is no class */
export function labelIndices(
  labels: readonly string[],
  classes: readonly string[],
  place: (row: number) => string,
): number[] {
  const byName = new Map(classes.map((name, index) => [name, index]));
  return labels.map((label, row) => {
    const index =
      byName.get(label) ?? (/^\d+$/.test(label) && Number(label) < classes.length ? Number(label) : undefined);
    if (index !== undefined) return index;
    const some = classes.slice(0, 10).join(', ');
    throw new TuneError(
      'invalid-data',
      `${place(row)}: label ${JSON.stringify(label)} is none of the classes ${some}`,
      {
        label,
      },
    );
  });
}
