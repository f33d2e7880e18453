// Puts the stored benchmark results into documents, as headlines, tables and pictures, so that they cannot drift.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../toolchain.mjs';
import { ABLATION, ablationTable } from './ablation.mjs';
import { ARCHITECTURE } from './architecture.mjs';
import { cpuAttentionTables } from './cpu-attention.mjs';
import { PLOTS } from './figure-plots.mjs';
import { VIEWS } from './figure-views.mjs';
import { HEADLINES } from './headlines.mjs';

export const RESULTS = join(ROOT, 'benchmarks/results');

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
    .map(([key, value]) => `${words(key)}: ${format(value).replace(/\S*node_modules\//, '')}`);
  return `${machine.join('; ')}. ${more.join('; ')}`.trim();
}

export function load(name) {
  const path = join(RESULTS, `${name}.json`);
  return existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')) : undefined;
}

/** What repeats a result, where it is no benchmark of that name. */
const COMMANDS = {
  demo: 'npm run demo',
  'vote-study': 'python3 benchmarks/device/vote_study.py',
  'webgpu-vote': 'npm run bench -- webgpu',
  'instatune-known': 'node benchmarks/device/pack-instatune.ts',
  'onnx-webgpu': 'node benchmarks/device/pack-onnx.ts',
};
const commandOf = (name) => COMMANDS[name] ?? `npm run bench -- ${name}`;
const captioned = ({ title, markdown }) => `${title ? `${title}:\n\n` : ''}${markdown}`;

/** Every stored result: `{ name, title, document, tables }`, the tables its view chooses or all, in the order readers see them. */
function results() {
  return VIEWS.flatMap(({ name, title, tables }) => {
    const document = load(name);
    if (!document) return [];
    const chosen = tables?.(document)
      .filter(({ rows }) => rows.length > 0)
      .map(({ title: caption, headers, rows }) => ({ title: caption, markdown: table(headers, rows) }));
    return [{ name, title, document, tables: chosen ?? everything(document) }];
  });
}

const source = ({ name, document }) =>
  `<small>\`${commandOf(name)}\` → [benchmarks/results/${name}.json](../../benchmarks/results/${name}.json). ${environmentLine(document)}</small>`;

/** docs/guide/benchmarks.md: pictures first, the tables folded below them. */
function benchmarksPage() {
  return results()
    .map((result) => {
      const pictures = (PLOTS[result.name]?.(result.document) ?? []).map(
        ({ name, svg }) => `![${/aria-label="([^"]*)"/.exec(svg)[1]}](../pictures/${name}.svg)`,
      );
      return [
        `### ${result.title}`,
        ...(pictures.length > 0 ? [`<div class="plots">\n\n${pictures.join('\n')}\n\n</div>`] : []),
        ...(result.tables.length > 0
          ? [
              `<details>\n<summary>The figures as tables</summary>\n\n${result.tables.map(captioned).join('\n\n')}\n\n</details>`,
            ]
          : []),
        source(result),
      ].join('\n\n');
    })
    .join('\n\n');
}

/** docs/guide/benchmarks-rows.md: every row of every result that has rows. */
function rowsPage() {
  return results()
    .filter(({ document }) => document.rows)
    .map((result) =>
      [
        `### ${result.title}`,
        ...everything(result.document).map((group) => {
          const rows = `<details>\n<summary>${group.title || 'rows'}</summary>\n\n${group.markdown}\n\n</details>`;
          return rows;
        }),
        source(result),
      ].join('\n\n'),
    )
    .join('\n\n');
}

/** Who may import whom, as a table. */
function architecture() {
  const rows = Object.entries(ARCHITECTURE).map(([name, { what, internal, external }]) => [
    `[\`${name}\`](../packages/${name.split('/')[1]}/README.md)`,
    what,
    internal.map((other) => `\`${other.split('/')[1]}\``).join(', ') || 'nothing',
    external === 'any'
      ? 'as its manifest says'
      : external.map((other) => (other === '@tensorflow/' ? 'tfjs (peer)' : other)).join(', ') || 'none',
  ]);
  return table(['package', 'what it is', 'may import', 'registry packages'], rows);
}

/** docs/guide/ablation.md: one table of the vote study. */
function ablation(section) {
  const { headers, rows } = ablationTable(load('vote-study'), section);
  return table(headers, rows);
}

const RENDERERS = {
  headlines: () =>
    headlines()
      .map(({ value, text, command }) => `- **${value}** ${text} (\`${command}\`)`)
      .join('\n'),
  cards: () =>
    `<div class="cards">\n${headlines()
      .map(({ value, text, command }) => `<div><strong>${value}</strong><p>${text}</p><code>${command}</code></div>`)
      .join('\n')}\n</div>`,
  benchmarks: benchmarksPage,
  rows: rowsPage,
  architecture,
  cpu_attention: () => cpuAttentionTables(load('cpu-attention')),
  ...Object.fromEntries(Object.keys(ABLATION).map((section) => [`ablation_${section}`, () => ablation(section)])),
};
const headlines = () =>
  HEADLINES.map(({ result, say }) => {
    const document = load(result);
    if (!document)
      throw new Error(`benchmarks/results/${result}.json is needed for the headlines: ${commandOf(result)}`);
    return { ...say(document), command: commandOf(result) };
  });

/**
 * Replaces what stands between each pair of markers by what its name renders now.
 *
 * @throws where there is no marker, one has no end, or its name is unknown
 */
export function withFigures(text) {
  let found = 0;
  const replaced = text.replaceAll(
    /(<!-- figures:begin (\w+) -->)([\s\S]*?)(<!-- figures:(?:begin|end)\b)/g,
    (_, begin, kind, __, end) => {
      found++;
      if (!end.endsWith('end')) throw new Error(`${begin} has no end`);
      const render = RENDERERS[kind];
      if (!render) throw new Error(`figures:begin says "${kind}": write one of ${Object.keys(RENDERERS).join(', ')}`);
      return `${begin}\n\n${render()}\n\n${end}`;
    },
  );
  if (found === 0) throw new Error('no <!-- figures:begin KIND --> … <!-- figures:end --> in the text');
  return replaced;
}

/** The documents that hold figures. */
export const TARGETS = [
  'README.md',
  'docs/index.md',
  'docs/architecture.md',
  'docs/guide/ablation.md',
  'docs/guide/benchmarks.md',
  'docs/guide/benchmarks-rows.md',
  'packages/kernels-cpu/README.md',
].map((file) => join(ROOT, file));

/** Where the pictures lie. */
export const PICTURES = join(ROOT, 'docs/pictures');

/** Every picture of every stored result: file name → SVG. */
export function pictures() {
  const files = new Map();
  for (const { name, document } of results())
    for (const picture of PLOTS[name]?.(document) ?? []) files.set(`${picture.name}.svg`, picture.svg);
  return files;
}
