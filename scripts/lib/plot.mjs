// Pictures of results as standalone SVG text: Observable Plot on linkedom, with a title, a legend, and colours for light and for dark.
import * as Plot from '@observablehq/plot';
import { parseHTML } from 'linkedom';

const { document } = parseHTML('<!doctype html><html><body></body></html>');
const WIDTH = 440;
const FONT = 14;
const LINE = 21;
/** Mean width of a letter; only decides where a legend wraps. */
const LETTER = 0.55 * FONT;

/** Ink, then the series: HiP and what is ours in blue, peers in the others. The site's theme has its own copy of these names. */
export const LIGHT = {
  ink: '#424a53',
  s1: '#0b6bcb',
  s2: '#767f8a',
  s3: '#b35900',
  s4: '#1a7f37',
  s5: '#8250df',
  s6: '#a40e26',
};
export const DARK = {
  ink: '#adbac7',
  s1: '#6cb6ff',
  s2: '#8b949e',
  s3: '#f69d50',
  s4: '#57ab5a',
  s5: '#b083f0',
  s6: '#ff7b72',
};
export const variables = (colours) =>
  Object.entries(colours)
    .map(([name, value]) => `--${name}:${value}`)
    .join(';');
/** For a picture by itself; a page that takes it in has its own. */
export const STYLE = `.plot{${variables(LIGHT)};color:var(--ink)}@media (prefers-color-scheme:dark){.plot{${variables(DARK)}}}`;

const escape = (text) => String(text).replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;');
/** Tenths of a pixel, in what is drawn and not in what is written: the same text on every machine. */
const rounded = (svg) =>
  svg.replaceAll(/ (?:d|transform|x|y|x1|x2|y1|y2|cx|cy|width|height)="[^"]*"/g, (attribute) =>
    attribute.replaceAll(/\d+\.\d{2,}/g, (number) => String(Number(Number(number).toFixed(1)))),
  );
export const colour = (index) => `var(--s${(index % 6) + 1})`;

/** 4096 → 4K, 1048576 → 1M; other numbers as they are. */
export function tokens(value) {
  if (value >= 2 ** 20 && value % 2 ** 20 === 0) return `${value / 2 ** 20}M`;
  return value >= 1024 && value % 1024 === 0 ? `${value / 1024}K` : value.toLocaleString('en-US');
}

/** Three significant digits, thousands apart. */
export const short = (value) => Number(value.toPrecision(3)).toLocaleString('en-US');

/** Ticks of a logarithmic axis over these values: powers of ten, with 3 between them where there would be fewer than three. */
function decades(values) {
  const [from, to] = [Math.min(...values), Math.max(...values)];
  const of = (digits) =>
    Array.from({ length: 24 }, (_, i) => i - 12)
      .flatMap((power) => digits.map((digit) => Number(`${digit}e${power}`)))
      .filter((tick) => tick >= from && tick <= to);
  return [of([1]), of([1, 3]), of([1, 2, 3, 5])].find((ticks) => ticks.length > 2) ?? of([1, 2, 3, 4, 5, 6, 7, 8, 9]);
}

/** Entries in rows that fit, each a coloured dot and a name. @returns SVG and its height */
function legend(entries, top) {
  let [x, y] = [0, top];
  const parts = entries.map(({ name, fill }) => {
    const width = 20 + name.length * LETTER + 12;
    if (x > 0 && x + width > WIDTH) [x, y] = [0, y + LINE];
    const part = `<circle cx="${x + 6}" cy="${y + 10}" r="5" fill="${fill}"/><text x="${x + 17}" y="${y + 15}">${escape(name)}</text>`;
    x += width;
    return part;
  });
  return { svg: parts.join(''), height: entries.length > 0 ? y - top + LINE + 4 : 0 };
}

/** @returns standalone SVG text of Plot options under a title and a legend */
export function picture({ title, entries = [], plotHeight = 260, ...options }) {
  const lines = wrapped(title, WIDTH / LETTER);
  const key = legend(entries, lines.length * LINE + 4);
  const top = lines.length * LINE + 4 + key.height;
  const figure = Plot.plot({
    document,
    width: WIDTH,
    height: plotHeight,
    marginLeft: 56,
    marginRight: 16,
    marginBottom: 44,
    style: { fontSize: `${FONT}px` },
    ...options,
  });
  figure.querySelector('style')?.remove();
  const height = top + plotHeight;
  const heading = lines
    .map((line, i) => `<text x="0" y="${16 + i * LINE}" font-weight="600">${escape(line)}</text>`)
    .join('');
  return rounded(
    `<svg xmlns="http://www.w3.org/2000/svg" class="plot" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" ` +
      `role="img" aria-label="${escape(title)}" font-family="system-ui, sans-serif" font-size="${FONT}" fill="currentColor">` +
      `<style>${STYLE}</style>${heading}${key.svg}` +
      `<g transform="translate(0,${top})" text-anchor="middle">${figure.innerHTML}</g></svg>\n`,
  );
}

function wrapped(text, most) {
  const lines = [''];
  for (const word of text.split(' ')) {
    const line = lines.at(-1);
    if (line !== '' && line.length + word.length + 1 > most) lines.push(word);
    else lines[lines.length - 1] = line === '' ? word : `${line} ${word}`;
  }
  return lines;
}

/**
 * Lines over x, one a series.
 *
 * @param series `{ name, points: [x, y][], dashed? }`; points without y are left out
 */
export function lines({ title, x, y, series, ...rest }) {
  const drawn = series
    .map((one, i) => ({ fill: colour(i), ...one, points: one.points.filter(([, value]) => Number.isFinite(value)) }))
    .filter(({ points }) => points.length > 0);
  return picture({
    title,
    entries: drawn,
    x: { tickFormat: tokens, ...x },
    y: {
      grid: true,
      tickFormat: short,
      ...(y.type === 'log' && { ticks: decades(drawn.flatMap((one) => one.points.map(([, value]) => value))) }),
      ...y,
    },
    marks: drawn.flatMap(({ points, fill, dashed }) => [
      Plot.line(points, { stroke: fill, strokeWidth: 2.2, ...(dashed && { strokeDasharray: '5,4' }) }),
      Plot.dot(points, { fill, r: 3.2 }),
    ]),
    ...rest,
  });
}

/** A bar for each `{ name, value, label?, fill? }`, with its name above and its value (or label) at its end. */
export function bars({ title, values, format = short }) {
  const rows = values.filter(({ value }) => Number.isFinite(value)).map((row, i) => ({ ...row, i }));
  const most = Math.max(...rows.map(({ value }) => value));
  const step = 44;
  return picture({
    title,
    plotHeight: rows.length * step + 4,
    marginLeft: 0,
    marginRight: 70,
    marginTop: 0,
    marginBottom: 4,
    x: { domain: [0, most], axis: null },
    y: { domain: [0, rows.length], range: [0, rows.length * step], axis: null },
    marks: rows.flatMap(({ name, value, label = format(value), fill = 'var(--s2)', i }) => [
      Plot.rect([0], { x1: 0, x2: Math.min(value, most), y1: i + 0.5, y2: i + 0.88, fill }),
      Plot.text([name], { x: 0, y: i + 0.28, text: (text) => text, textAnchor: 'start', fill: 'currentColor' }),
      Plot.text([label], {
        x: Math.min(value, most),
        y: i + 0.69,
        dx: 6,
        textAnchor: 'start',
        fill: 'currentColor',
      }),
    ]),
  });
}

/**
 * A grid of shares, darker where more; rows down, columns across.
 *
 * @param grid rows of integers from 0 to `levels`
 */
export function heat({ title, grid, levels, x, y }) {
  const rectangles = (scales) => {
    const paths = new Map();
    grid.forEach((line, row) => {
      for (let from = 0; from < line.length;) {
        let to = from + 1;
        while (to < line.length && line[to] === line[from]) to++;
        const [left, top] = [scales.x(from), scales.y(row)].map((at) => at.toFixed(1));
        const [width, height] = [scales.x(to) - scales.x(from), scales.y(row + 1) - scales.y(row)].map((by) =>
          by.toFixed(1),
        );
        if (line[from] > 0)
          paths.set(line[from], `${paths.get(line[from]) ?? ''}M${left},${top}h${width}v${height}h-${width}z`);
        from = to;
      }
    });
    const group = document.createElementNS('http://www.w3.org/2000/svg', 'g');
    group.setAttribute('fill', 'var(--s1)');
    for (const [level, d] of [...paths].sort(([a], [b]) => a - b)) {
      const path = document.createElementNS('http://www.w3.org/2000/svg', 'path');
      path.setAttribute('d', d);
      path.setAttribute('fill-opacity', (0.2 + (0.8 * level) / levels).toFixed(2));
      group.append(path);
    }
    return group;
  };
  const scale = { domain: [0, grid.length] };
  return picture({
    title,
    plotHeight: 400,
    marginTop: 24,
    x: { ...scale, ...x },
    y: { ...scale, reverse: true, ...y },
    marks: [(_, scales) => rectangles(scales), Plot.ruleX([0]), Plot.ruleY([grid.length])],
  });
}

export { Plot };
