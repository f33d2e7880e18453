// Hypervolumes of two to four objectives by one sweep. Points are gains over the reference: all positive, larger is better.
import { LocalBounds3 } from './local-bounds-3.ts';
import { descending } from './order.ts';
import { Staircase } from './staircase.ts';

/** Two objectives: sweep by descending first gain. */
export function hypervolume2(gains: Float64Array, count: number): number {
  const order = descending(gains, count, 2, 0);
  let height = 0;
  let volume = 0;
  for (const i of order) {
    const y = gains[2 * i + 1]!;
    if (y > height) {
      volume += gains[2 * i]! * (y - height);
      height = y;
    }
  }
  return volume;
}

/**
 * Three objectives: planes by descending third gain; each point adds its step to the staircase of the first two gains,
 * whose area is kept up to date, and the area is integrated over the third (Fonseca, Paquete and López-Ibáñez 2006).
 */
export function hypervolume3(gains: Float64Array, count: number): number {
  const order = descending(gains, count, 3, 2);
  const stairs = new Staircase(count);
  let volume = 0;
  for (let n = 0; n < count; n++) {
    const i = order[n]!;
    stairs.add(gains[3 * i]!, gains[3 * i + 1]!);
    const below = n + 1 < count ? gains[3 * order[n + 1]! + 2]! : 0;
    volume += stairs.area * (gains[3 * i + 2]! - below);
  }
  return volume;
}

/** Four objectives: what each point adds in the first three gains, by descending fourth, integrated over the fourth. */
export function hypervolume4(gains: Float64Array, count: number): number {
  const most = new Float64Array(3);
  for (let at = 0; at < 4 * count; at += 4) {
    for (let k = 0; k < 3; k++) if (gains[at + k]! > most[k]!) most[k] = gains[at + k]!;
  }
  const bounds = new LocalBounds3(most, count);
  let volume = 0;
  for (const row of descending(gains, count, 4, 3)) {
    const at = 4 * row;
    volume += bounds.add(gains[at]!, gains[at + 1]!, gains[at + 2]!) * gains[at + 3]!;
  }
  return volume;
}
