// Tags of words: their names in order, and whether they mark spans (entities) or stand for themselves (parts of speech).
import { TuneError } from '../errors.ts';

/** Tags beyond this many are hardly tags. */
const MOST_TAGS = 1000;

/** Whether tags mark spans: `O` beside `B-…`, `I-…` (and `E-…`, `S-…`); F1 of spans is then their measure, else the share of right tags. */
export function areSpanTags(names: readonly string[]): boolean {
  return names.every((name) => name === 'O' || /^[BIES]-./.test(name)) && names.some((name) => /^[BI]-/.test(name));
}

/**
 * Names of tags in order: `given`, else those of the checkpoint where they are the data's, else each that occurs, `O` first.
 * Whole numbers from 0 on are indices of names.
 *
 * @throws TuneError `invalid-data` for fewer than two tags, or so many that the column is none of tags; `invalid-option` for given names that are too few
 */
export function tagNames(
  rows: readonly { readonly tags: readonly string[] }[],
  {
    given,
    known = [],
  }: { readonly given?: readonly string[] | undefined; readonly known?: readonly string[] | undefined },
): readonly string[] {
  const names = new Set<string>();
  for (const { tags } of rows) for (const tag of tags) names.add(tag);
  const distinct = [...names];
  if (distinct.length < 2)
    throw new TuneError(
      'invalid-data',
      `all words have one tag, ${JSON.stringify(distinct[0] ?? '')}: two are needed`,
      {
        tags: distinct,
      },
    );
  if (distinct.length > MOST_TAGS) {
    const some = distinct.slice(0, 3).map((tag) => JSON.stringify(tag));
    throw new TuneError(
      'invalid-data',
      `the words have ${distinct.length} different tags (${some.join(', ')}, …): give --tags the column of tags`,
      { tags: distinct.length },
    );
  }
  const isCounted = distinct.every((tag) => /^\d+$/.test(tag));
  const count = isCounted ? 1 + Math.max(...distinct.map(Number)) : 0;
  const fits = (list: readonly string[]) =>
    isCounted ? list.length >= count : distinct.every((tag) => list.includes(tag));
  if (given) {
    if (fits(given)) return given;
    const stranger = isCounted ? String(count - 1) : distinct.find((tag) => !given.includes(tag))!;
    throw new TuneError(
      'invalid-option',
      `--tag-names has ${given.length} names, and none for the tag ${JSON.stringify(stranger)}: name every tag, in order from 0`,
      { given, tag: stranger },
    );
  }
  if (fits(known)) return known;
  if (isCounted) return Array.from({ length: count }, (_, index) => String(index));
  return distinct.sort((a, b) => (a === 'O' ? -1 : b === 'O' ? 1 : a < b ? -1 : 1));
}
