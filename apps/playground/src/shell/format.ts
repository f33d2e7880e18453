// Numbers as a page shows them.

const number = (digits: number): Intl.NumberFormat => new Intl.NumberFormat('en', { maximumSignificantDigits: digits });
const three = number(3);
const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });

export const count = (value: number): string => whole.format(value);

export function bytes(value: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB'];
  const power = value < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log2(value) / 10));
  return `${three.format(value / 1024 ** power)} ${units[power]}`;
}

export function milliseconds(value: number): string {
  return value < 1000
    ? `${three.format(value)} ms`
    : `${value < 10_000 ? (value / 1000).toFixed(2) : (value / 1000).toFixed(1)} s`;
}

export const ratio = (value: number): string => `${three.format(value)}×`;

/** A dash where nothing is known yet. */
export function known(value: number | undefined, format: (value: number) => string): string {
  return value === undefined || !Number.isFinite(value) ? '–' : format(value);
}
