// When requests come: spread over a time as those of many people are, and now and then all at once.
import { seededRandom } from '@hip/checkpoints/generation';

/** One request's coming. */
export interface Arrival {
  /** Seconds from the start. */
  readonly at: number;
  /** Whether it comes with many others: the queue may then be full. */
  readonly isBurst: boolean;
}

/**
 * @param count - requests
 * @param seconds - over which they come, at random (a Poisson process of that many events); 0: all at once, as fast as clients take them
 * @param burst - requests that come together, ten times on the way; 0: never
 */
export function arrivals(count: number, seconds: number, burst: number, seed: number): Arrival[] {
  const random = seededRandom(seed);
  const times = Array.from({ length: count }, () => random() * seconds).sort((a, b) => a - b);
  const every = Math.floor(count / 10);
  return times.map((at, index) => {
    const since = every > burst && burst > 0 ? (index % every) - (every - burst) : -1;
    return since >= 0 ? { at: times[index - since] as number, isBurst: true } : { at, isBurst: false };
  });
}
