// Makes Markdown tables of the stored benchmark results. README and docs get theirs from here, so they cannot drift.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../toolchain.mjs';
import { ARCHITECTURE } from './architecture.mjs';
import { VIEWS } from './figure-views.mjs';

export const RESULTS = join(ROOT, 'benchmarks/results');
const BEGIN = '<!-- figures:begin';
const END = '<!-- figures:end -->';

/** Four significant digits; whole numbers whole, thousands apart. */
export function format(value) {
  if (value === undefined || value === null) return '';
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  if (Array.isArray(value)) return value.map(format).join(', ');
  if (typeof value !== 'number') return String(value).replaceAll('|', '\\|');
  if (!Number.isFinite(value)) return String(value);
  if (Number.isInteger(value) || Math.abs(value) >= 1000) return Math.round(value).toLocaleString('en-US');
  return String(Number(value.toPrecision(4)));
}

/** camelCase → words, units recognised. */
export function words(key) {
  const units = [
    [/Ms$/, ' (ms)'],
    [/^ms$/, 'ms'],
    [/Bytes$/, ' (bytes)'],
    [/Gflops$/i, ' (GFLOP/s)'],
    [/Seconds$/, ' (s)'],
    [/Percent$/, ' (%)'],
  ];
  for (const [pattern, unit] of units) {
    if (pattern.test(key) && key.replace(pattern, '') !== '') return words(key.replace(pattern, '')) + unit;
  }
  return key
    .replace(/([a-z])([A-Z])/g, '$1 $2')
    .replace(/ [A-Z][a-z]/g, (found) => found.toLowerCase())
    .replaceAll('_', ' ');
}

export function table(headers, rows) {
  const line = (cells) => `| ${cells.join(' | ')} |`;
  return [line(headers), `|${headers.map(() => '---|').join('')}`, ...rows.map((row) => line(row.map(format)))].join(
    '\n',
  );
}

/** Every row of a result: one table per `part`, `table`, `section`, `measure` or `row`, with the columns its rows have. */
export function everything(document) {
  const keyOf = (row) => ['part', 'table', 'section', 'measure', 'row'].find((key) => typeof row[key] === 'string');
  const groups = new Map();
  for (const row of document.rows ?? []) {
    const key = keyOf(row);
    const name = key ? row[key] : '';
    if (!groups.has(name)) groups.set(name, []);
    const { [key]: _, ...rest } = row;
    groups.get(name).push(key ? rest : row);
  }
  return [...groups].map(([title, rows]) => {
    const isCell = (value) =>
      typeof value !== 'object' || (Array.isArray(value) && value.every((item) => typeof item !== 'object'));
    const columns = [...new Set(rows.flatMap((row) => Object.keys(row)))].filter((key) =>
      rows.every((row) => row[key] === undefined || row[key] === null || isCell(row[key])),
    );
    return {
      title,
      markdown: table(
        columns.map(words),
        rows.map((row) => columns.map((column) => row[column])),
      ),
    };
  });
}

/** What the figures depend on, in one line. */
export function environmentLine(document) {
  const { cpu, cores, memoryGiB, platform, node, v8: _, date, seconds: __, ...rest } = document.environment ?? {};
  const machine = [
    cpu && `${cpu}, ${cores} cores${memoryGiB ? `, ${memoryGiB} GiB` : ''}`,
    platform,
    node && `Node ${String(node).replace(/^v/, '')}`,
    date && String(date).slice(0, 10),
  ].filter(Boolean);
  const more = Object.entries(rest)
    .filter(([, value]) => typeof value !== 'object' && !String(value).startsWith('/'))
    .map(([key, value]) => `${words(key)}: ${format(value)}`);
  return `${machine.join('; ')}. ${more.join('; ')}`.trim();
}

export function load(name) {
  const path = join(RESULTS, `${name}.json`);
  return existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')) : undefined;
}

const commandOf = (name) => (name === 'demo' ? 'npm run demo' : `npm run bench -- ${name}`);

/**
 * @param kind `readme`: the chosen tables; `full`: every row of every result
 * @returns Markdown; a benchmark without a stored result has no section
 */
export function render(kind) {
  const sections = VIEWS.flatMap(({ name, title, tables }) => {
    const document = load(name);
    if (!document) return [];
    const chosen =
      kind === 'readme' || !document.rows ? tables?.(document).filter(({ rows }) => rows.length > 0) : undefined;
    const parts = chosen?.length
      ? chosen.map(({ title: caption, headers, rows }) => ({ title: caption, markdown: table(headers, rows) }))
      : everything(document);
    return [
      [
        `### ${title}`,
        ...parts.map((part) => `${part.title ? `${part.title}:\n\n` : ''}${part.markdown}`),
        `\`${commandOf(name)}\` → ${stored(kind, name)}. ${environmentLine(document)}`,
      ].join('\n\n'),
    ];
  });
  return sections.join('\n\n');
}

/** The site has no copy of the results: there it is a name, not a link. */
function stored(kind, name) {
  const path = `benchmarks/results/${name}.json`;
  return kind === 'readme' ? `[${path}](${path})` : `\`${path}\``;
}

const ARCHITECTURE_BEGIN = '<!-- architecture:begin -->';
const ARCHITECTURE_END = '<!-- architecture:end -->';

/** Who may import whom, as a table. */
function architecture() {
  const rows = Object.entries(ARCHITECTURE).map(([name, { what, internal, external }]) => [
    `[\`${name}\`](packages/${name.split('/')[1]})`,
    what,
    internal.map((other) => `\`${other.split('/')[1]}\``).join(', ') || 'nothing',
    external === 'any'
      ? 'as its manifest says'
      : external.map((other) => (other === '@tensorflow/' ? 'tfjs (peer)' : other)).join(', ') || 'none',
  ]);
  return table(['package', 'what it is', 'may import', 'registry packages'], rows);
}

/** Replaces what stands between the markers of figures, and of the architecture where there are any. @throws without figure markers */
export function withFigures(text) {
  const from = text.indexOf(ARCHITECTURE_BEGIN);
  if (from >= 0) {
    const before = text.slice(0, from + ARCHITECTURE_BEGIN.length);
    text = `${before}\n\n${architecture()}\n\n${text.slice(text.indexOf(ARCHITECTURE_END))}`;
  }
  const begin = text.indexOf(BEGIN);
  const end = text.indexOf(END);
  if (begin < 0 || end < begin) throw new Error(`no ${BEGIN} KIND --> … ${END} in the text`);
  const open = text.slice(begin, text.indexOf('-->', begin) + 3);
  const kind = /figures:begin (\w+)/.exec(open)?.[1];
  if (kind !== 'readme' && kind !== 'full') throw new Error(`figures:begin says "${kind}": write readme or full`);
  return `${text.slice(0, begin)}${open}\n\n${render(kind)}\n\n${text.slice(end)}`;
}

/** The files that hold figures. */
export const TARGETS = ['README.md', 'docs/guide/benchmarks.md'].map((file) => join(ROOT, file));
