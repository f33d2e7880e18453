// The budget's grammar:
//   budget  = bound { ("," | ";" | "and") bound }
//   bound   = name ("<=" | ">=" | "<" | ">" | "≤" | "≥") value
//   value   = number [unit] | number "x" | "baseline" [("+" | "-") number ["%" | unit]]
import { nearest } from '@instatune/search';
import { TuneError } from '../errors.ts';
import { isQuantityName, QUANTITIES, quantity, QUANTITY_NAMES, type QuantityName } from './quantities.ts';

/** One bound: factor·baseline + shift·|baseline| + offset; absolute ones have factor and shift 0. */
export interface BudgetBound {
  /** As it was written. */
  readonly text: string;
  readonly name: QuantityName;
  readonly relation: '<=' | '>=';
  readonly factor: number;
  readonly shift: number;
  /** In the quantity's kept unit. */
  readonly offset: number;
}

/** Counted in ones: less than one is a share whose x was forgotten. */
const WHOLE: readonly QuantityName[] = ['macs', 'parameters', 'bytes', 'memory'];

const NUMBER = String.raw`(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?`;
const BOUND = /^(?<name>[a-z_][a-z_\d]*)\s*(?<relation><=|>=|=<|=>|<|>|≤|≥)\s*(?<value>[^=<>].*)?$/iu;
const ABSOLUTE = new RegExp(String.raw`^(?<number>${NUMBER})\s*(?<unit>[\p{L}%]*)$`, 'iu');
const RELATIVE = new RegExp(
  String.raw`^baseline(?:\s*(?<sign>[+-])\s*(?<number>${NUMBER})\s*(?<unit>[\p{L}%]*))?$`,
  'iu',
);

/**
 * Parses a budget. `0.5x` is half of the baseline's value, `baseline + 1%` one percent of its magnitude more, `baseline + 0.1` that much
 * more; a number without a unit is in the quantity's own (latency ms, bytes and memory B, accuracy a share). Strict and non-strict relations
 * are the same.
 *
 * @param texts one budget, or several that all hold
 * @throws TuneError `bad-budget` with what is allowed in its place
 *
 * @example
 * ```ts
 * import { parseBudget } from '@instatune/cli/pipeline';
 *
 * const [latency, loss] = parseBudget('latency<=0.5x, loss<=baseline+1%');
 * console.log(latency!.factor, loss!.shift); // => 0.5 0.01
 * console.log(parseBudget('bytes <= 12.5 MB')[0]!.offset); // => 12500000
 * ```
 */
export function parseBudget(texts: string | readonly string[]): readonly BudgetBound[] {
  const given = typeof texts === 'string' ? [texts] : texts;
  const comma = given.map((text) => /[<>=≤≥]\s*(\d+),(\d+\p{L}*)/u.exec(text)).find((match) => match !== null);
  if (comma) throw bad(JSON.stringify(comma.input), 'has a comma in a number', `write ${comma[1]}.${comma[2]}`);
  const parts = given.flatMap((text) => text.split(/[,;]|\band\b/i)).map((part) => part.trim());
  if (parts.every((part) => part === '')) throw bad('""', 'is empty', example());
  return parts.filter((part) => part !== '').map(parseBound);
}

function parseBound(text: string): BudgetBound {
  const shown = JSON.stringify(text);
  const { name: given, relation: sign, value } = BOUND.exec(text)?.groups ?? {};
  if (given === undefined || sign === undefined) throw bad(shown, 'is no bound', example());
  const name = given.toLowerCase();
  if (!isQuantityName(name)) {
    const meant = nearest(name, QUANTITY_NAMES);
    const hint = meant === undefined ? '' : ` (did you mean ${meant}?)`;
    throw bad(shown, `names "${given}"${hint}`, `use ${QUANTITY_NAMES.join(', ')}`);
  }
  const { better, units } = quantity(name);
  const relation = /[<≤]/.test(sign) ? '<=' : '>=';
  if ((better === 'less') !== (relation === '<=')) {
    const right = better === 'less' ? '<=' : '>=';
    throw bad(shown, `wants ${better === 'less' ? 'more' : 'less'} ${name}`, `write ${name} ${right} …`);
  }
  if (value === undefined) throw bad(shown, 'has no value', `write ${name} ${relation} 0.5x, say`);
  const bound = { text, name, relation, factor: 0, shift: 0, offset: 0 } as const;
  const relative = RELATIVE.exec(value)?.groups;
  if (relative) {
    const amount = Number(relative['number'] ?? 0) * (relative['sign'] === '-' ? -1 : 1);
    if (relative['unit'] === '%') return { ...bound, factor: 1, shift: amount / 100 };
    return { ...bound, factor: 1, offset: amount * factorOf(shown, name, relative['unit'] ?? '') };
  }
  const absolute = ABSOLUTE.exec(value)?.groups;
  if (!absolute) {
    const known = Object.keys(units).filter((unit) => unit !== '');
    const forms = [`a number${known.length === 0 ? '' : ` (${known.join(', ')})`}`, '0.5x', 'baseline + 1%'];
    throw bad(shown, `has the value "${value}"`, `write ${forms.join(', or ')}`);
  }
  const number = Number(absolute['number']);
  if (!(number > 0) || !Number.isFinite(number)) throw bad(shown, `has the value ${number}`, 'write a number > 0');
  if (/^x$/i.test(absolute['unit'] ?? '')) return { ...bound, factor: number };
  const offset = number * factorOf(shown, name, absolute['unit'] ?? '');
  if (offset < 1 && WHOLE.includes(name))
    throw bad(
      shown,
      `asks for less than one of ${name}`,
      `write ${name} ${relation} ${number}x for a share of the full network's`,
    );
  return { ...bound, offset };
}

function factorOf(shown: string, name: QuantityName, unit: string): number {
  const { units } = quantity(name);
  const exact = units[unit];
  // Case tells mega from milli nowhere here, so it may be missed where only one unit is meant.
  const loose = Object.keys(units).filter((known) => known.toLowerCase() === unit.toLowerCase());
  const factors = new Set(loose.map((known) => units[known]));
  const factor = exact ?? (factors.size === 1 ? [...factors][0] : undefined);
  if (factor !== undefined) return factor;
  const known = Object.keys(units).filter((each) => each !== '');
  const allowed = known.length === 0 ? 'write it without a unit' : `use ${known.join(', ')}`;
  const share = unit === '%' ? `; a share of the baseline is written 0.5x, or baseline + 1%` : '';
  throw bad(shown, `has ${name} in "${unit}"`, `${allowed}${share}`);
}

const example = (): string =>
  `write bounds like "latency <= 0.5x", "bytes <= 12MB", "loss <= baseline + 1%" on ${QUANTITY_NAMES.join(', ')}`;

const bad = (shown: string, what: string, fix: string): TuneError =>
  new TuneError('bad-budget', `the budget ${shown} ${what}: ${fix}`, { text: shown });

/** What `--help` says of budgets: every name with its units. */
export function budgetHelp(): string {
  return QUANTITY_NAMES.map((name) => {
    const units = Object.keys(QUANTITIES[name].units).filter((unit) => unit !== '');
    return `${name}${units.length === 0 ? '' : ` (${units.join(', ')})`}`;
  }).join(', ');
}
