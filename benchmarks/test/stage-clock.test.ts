// A study's time shared out between its trainings.
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { StageClock, stagesOf } from '../src/instatune/stage-clock.ts';
import { TASKS } from '../src/instatune/tasks.ts';

it.each(Object.entries(TASKS))(
  '%s: whatever the stages really take, the last one begins before the deadline',
  (_, task) => {
    const stages = stagesOf(task.recipe);
    fc.assert(
      fc.property(
        fc.integer({ min: 60, max: 5000 }),
        fc.array(fc.double({ min: 0, max: 1, noNaN: true })),
        (seconds, used) => {
          let now = 0;
          const clock = new StageClock(1000 * seconds, stages, () => now);
          for (const [i, { name }] of stages.entries()) {
            const given = clock.begin(name);
            expect(given).toBeGreaterThanOrEqual(0);
            expect(given).toBeLessThanOrEqual(clock.secondsLeft() + 1e-6);
            now += 1000 * given * (used[i] ?? 1);
          }
          expect(now).toBeLessThanOrEqual(1000 * seconds + 1e-3);
        },
      ),
    );
  },
);

it('time that a stage did not need is the later ones’', () => {
  let now = 0;
  const clock = new StageClock(
    115_000,
    [
      { name: 'plain', weight: 1 },
      { name: 'search', weight: 1 },
      { name: 'tuned', weight: 2 },
      { name: 'tuned', weight: 1 },
    ],
    () => now,
  );
  // All else is held against plain networks: half of the time is theirs, whatever the weights.
  expect(clock.begin('plain')).toBeCloseTo(50);
  now = 10_000;
  // Of 90 s half is shared out evenly, for the beginnings, and half by weight; what is left out gives its time, too.
  expect(clock.begin('tuned')).toBeCloseTo(22.5 + 30);
  expect(clock.begin('tuned')).toBeCloseTo(45 + 45);
});
