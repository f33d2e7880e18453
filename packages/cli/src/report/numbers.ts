// Values of quantities for people.
import { shortNumber } from '@instatune/search';

/** `12.4 MB`, `1.3 G`, `8.1 ms`, `91.4 %`. */
export function shown(name: string, value: number | undefined): string {
  if (value === undefined || !Number.isFinite(value)) return '–';
  switch (name) {
    case 'latency':
      return `${shortNumber(Number(value.toPrecision(3)))} ms`;
    case 'accuracy':
    case 'f1':
      return `${(100 * value).toFixed(2)} %`;
    case 'bytes':
    case 'memory':
      return scaled(value, ['B', 'kB', 'MB', 'GB']);
    case 'macs':
    case 'parameters':
      return scaled(value, ['', 'k', 'M', 'G', 'T']);
    default:
      return shortNumber(Number(value.toPrecision(4)));
  }
}

function scaled(value: number, units: readonly string[]): string {
  let [scale, rest] = [0, value];
  while (rest >= 999.5 && scale < units.length - 1) {
    rest /= 1000;
    scale++;
  }
  return `${Number(rest.toPrecision(3))} ${units[scale]}`.trim();
}

/** Seconds as `42 s`, `12 min 5 s`, `2 h 3 min`. */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes} min${whole % 60 === 0 ? '' : ` ${whole % 60} s`}`;
  return `${Math.floor(minutes / 60)} h${minutes % 60 === 0 ? '' : ` ${minutes % 60} min`}`;
}
