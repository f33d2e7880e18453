// What the views are made of: rows of a stored result, columns, numbers as people read them.

export const where = (document, match) =>
  document.rows.filter((row) => Object.entries(match).every(([key, value]) => row[key] === value));

/** A table from column specifications: header → key or function of the row. */
export function view(title, rows, columns) {
  const read = Object.values(columns).map((column) => (typeof column === 'function' ? column : (row) => row[column]));
  return { title, headers: Object.keys(columns), rows: rows.map((row) => read.map((cell) => cell(row))) };
}

export const percent = (value) => (value === undefined ? undefined : `${Number((100 * value).toPrecision(3))} %`);
export const times = (value) =>
  value === undefined || value === null ? undefined : `${Number(value.toPrecision(3))}×`;
export const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
export const thousands = (value) => value?.toLocaleString('en-US');
export const giga = (value) => Number((value / 1e9).toPrecision(3));
export const mib = (value) => (value === undefined ? undefined : Number((value / 2 ** 20).toPrecision(3)));
