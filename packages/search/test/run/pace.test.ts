// How many are proposed, and with how much effort: by how long trials and proposals take.
import { describe, expect, it } from 'vitest';
import { Pace } from '../../src/run/pace.ts';

/** After `count` trials of so many seconds on busy lanes, and a proposal of so many at full effort. */
function paceOf(lanes: number, trial: number, proposal: number, count = 400): Pace {
  let seconds = 0;
  const pace = new Pace(lanes, 50, () => seconds);
  for (let i = 0; i < count; i++) pace.finished(1000 * trial);
  seconds = (count * trial) / lanes;
  pace.proposed(proposal, 1);
  return pace;
}

describe('the pace of asynchronous proposals', () => {
  it('is that of rounds with one lane, whatever takes how long', () => {
    for (const pace of [new Pace(1, 50), paceOf(1, 0.001, 9), paceOf(1, 100, 0.1)]) {
      expect([pace.portion, pace.effort]).toEqual([10, 1]);
      expect(pace.isTime({ waiting: 0, running: 0, others: 0 })).toBe(true);
      expect(pace.isTime({ waiting: 0, running: 1, others: 0 })).toBe(false);
    }
  });

  it('proposes as few as there are lanes, when half of them have something waiting, where trials are long', () => {
    const pace = paceOf(16, 60, 1);
    expect([pace.portion, pace.effort]).toEqual([16, 1]);
    expect(pace.isTime({ waiting: 7, running: 16, others: 0 })).toBe(true);
    expect(pace.isTime({ waiting: 8, running: 16, others: 0 })).toBe(false);
  });

  it('proposes what ends meanwhile where trials are short, and thinks less rather than for more than four a lane', () => {
    // 160 trials a second.
    expect([paceOf(16, 0.1, 0.2).portion, paceOf(16, 0.1, 0.2).effort]).toEqual([48, 1]);
    const slow = paceOf(16, 0.1, 1);
    expect(slow.portion).toBe(64);
    expect(slow.effort).toBeCloseTo(64 / 240, 10);
    // A tactic that does not do less for it gets more to do at a time, as far as much is known.
    slow.proposed(1, slow.effort);
    expect(slow.portion).toBeGreaterThanOrEqual(64);
    expect(slow.portion).toBeLessThanOrEqual(200);
    expect(paceOf(16, 0.1, 1, 20).portion).toBeLessThanOrEqual(64);
  });

  it('does nothing badly for lanes that would wait anyhow', () => {
    const pace = paceOf(16, 0.001, 1);
    expect(pace.effort).toBe(1);
    expect(pace.portion).toBe(64);
  });
});
