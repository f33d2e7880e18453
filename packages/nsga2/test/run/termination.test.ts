import { describe, expect, it } from 'vitest';
import { Stagnation, type StagnationOptions } from '../../src/run/termination.ts';

/** Generations after which fronts of these hypervolumes end a run; 0: they do not. */
function endsAfter(options: StagnationOptions, volumes: readonly number[]): number {
  const stagnation = new Stagnation({ reference: [0], ...options });
  const end = volumes.findIndex((volume) =>
    stagnation.update([{ id: 0, genes: [0], objectives: [-volume], violation: 0, rank: 0, crowding: 0 }]),
  );
  return end + 1;
}

describe('stagnation', () => {
  it('is growth over the window of no more than the tolerance', () => {
    const options = { generations: 2, tolerance: 0.1 };
    expect(endsAfter(options, [1, 1.04, 1.09])).toBe(3);
    expect(endsAfter(options, [1, 1.04, 1.11])).toBe(0);
    expect(endsAfter(options, [1, 1.5, 2, 2.05, 2.1])).toBe(5);
    expect(endsAfter({ ...options, tolerance: 0 }, [1, 1, 1 + 1e-12, 1 + 1e-12, 1 + 1e-12])).toBe(5);
  });

  it('is by default growth by a ten-thousandth within 30 generations', () => {
    const growing = (by: number) => Array.from({ length: 31 }, (_, generation) => 1 + (by * generation) / 30);
    expect(endsAfter({}, growing(0.9e-4))).toBe(31);
    expect(endsAfter({}, growing(1.1e-4))).toBe(0);
    expect(endsAfter({}, growing(0.9e-4).slice(1))).toBe(0);
  });
});
