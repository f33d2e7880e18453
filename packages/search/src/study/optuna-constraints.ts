// Constraints that Optuna keeps of a trial among its system attributes: feasible where all are 0 or less.
import type { NamedConstraints } from '../given/constraint-values.ts';

/** Version 2 writes a list under its sampler's name, later versions one under none. */
const LIST = /^(?:nsga2:|botorch:)?constraints$/;
/** From version 5 on there may be a key for each, instead. */
const NAMED = /^constraints:(.+)$/;

/** In place of a list that a trial lacks: its function failed, or was not asked, and such a trial is not taken for feasible. */
const UNKNOWN: NamedConstraints = { unknown: 1 };

/** System attributes as they are written, by key: JSON in a storage, Python in a table of `trials_dataframe`. */
export type AttributeTexts = Readonly<Record<string, string>>;

/** Constraints by name, of each of a study's measured trials; a list's by their places. */
export function optunaConstraints(trials: readonly AttributeTexts[]): readonly NamedConstraints[] {
  const own = trials.map(constraintsOf);
  const hasLists = own.some(({ isListed }) => isListed);
  return own.map(({ isListed, values }) => (hasLists && !isListed ? { ...values, ...UNKNOWN } : values));
}

function constraintsOf(attributes: AttributeTexts): { readonly isListed: boolean; readonly values: NamedConstraints } {
  let isListed = false;
  const texts: (readonly [string, string])[] = [];
  for (const [key, text] of Object.entries(attributes)) {
    const name = NAMED.exec(key)?.[1];
    const list = LIST.test(key) ? itemsOf(text) : undefined;
    if (name !== undefined && text !== '') texts.push([name, text]);
    if (!list) continue;
    isListed = true;
    texts.push(...list.map((item, index) => [String(index), item] as const));
  }
  const values: Record<string, number> = {};
  for (const [name, text] of texts) {
    const value = numberOf(text);
    if (Number.isNaN(value)) Object.assign(values, UNKNOWN);
    else values[name] = Math.min(Number.MAX_VALUE, Math.max(-Number.MAX_VALUE, value));
  }
  return { isListed, values };
}

/** The items of a list or tuple; undefined for what is none, as `null`. */
function itemsOf(text: string): readonly string[] | undefined {
  const inside = /^\s*[[(](.*)[\])]\s*$/s.exec(text)?.[1];
  return inside
    ?.split(',')
    .map((item) => item.trim())
    .filter(Boolean);
}

const WORDS: Readonly<Record<string, number>> = { inf: Infinity, '-inf': -Infinity, true: 1, false: 0 };

/** As Python and its JSON write numbers: `-0.5`, `Infinity`, `inf`, `True`, `np.float64(0.5)`. */
function numberOf(text: string): number {
  const plain = /^np\.\w+\((.*)\)$/.exec(text)?.[1] ?? text;
  return WORDS[plain.toLowerCase()] ?? Number(plain);
}
