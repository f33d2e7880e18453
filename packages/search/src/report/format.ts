// Numbers for people.

/** Five significant digits, no exponent where none is needed; nothing for what is no number. */
export function shortNumber(value: number | undefined): string {
  if (typeof value !== 'number' || Number.isNaN(value)) return '';
  if (Number.isInteger(value) && Math.abs(value) < 1e7) return String(value);
  const magnitude = Math.abs(value);
  return magnitude !== 0 && (magnitude < 1e-3 || magnitude >= 1e7)
    ? value.toExponential(4)
    : String(Number(value.toPrecision(5)));
}
