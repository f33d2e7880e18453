import { describe, expect, it } from 'vitest';
import type { RunMessage } from '../../src/web/messages.ts';
import { advance, EMPTY } from '../../src/web/view.ts';

const after = (...messages: unknown[]) => (messages as RunMessage[]).reduce(advance, EMPTY);
const step = (n: number) => ({
  type: 'fine-tuning',
  progress: { step: n, steps: 4, tokensPerSecond: 100, eta: 3 },
  point: { step: n, objective: 2, loss: 5 - n },
});
const trial = (evaluations: number, values?: object) => ({
  type: 'searching',
  progress: { evaluations, budget: 10, hypervolume: undefined, ...(values && { trial: { values } }) },
});

describe('the view', () => {
  it('follows a run', () => {
    const training = after({ type: 'begin' }, step(1), step(2));
    expect(training).toMatchObject({
      isRunning: true,
      progress: 0.5,
      curve: [
        { step: 1, loss: 4 },
        { step: 2, loss: 3 },
      ],
    });
    expect(training.status).toBe('fine-tuning, step 2 of 4, 100 tokens/s, 3 s to go');
    const searching = [trial(0), trial(1, { latency: 5, macs: 7, loss: 2 })].reduce(
      (view, message) => advance(view, message as never),
      training,
    );
    expect(searching).toMatchObject({ progress: 0.1, trials: [{ latencyMs: 5, macs: 7, loss: 2 }] });
    const ended = advance(searching, { type: 'end', status: 0, message: 'done' });
    expect(ended).toMatchObject({ isRunning: false, progress: undefined, status: 'done', isBad: false });
    // A listener that comes late is told everything again, and so sees the same.
    expect(
      after({ type: 'begin' }, step(1), step(2), trial(0), trial(1, { latency: 5, macs: 7, loss: 2 }), {
        type: 'end',
        status: 0,
        message: 'done',
      }),
    ).toEqual(ended);
  });

  it('shows why a run ended badly, and forgets it with the next', () => {
    const bad = after({ type: 'begin' }, step(1), { type: 'end', status: 2, message: 'demo: no' });
    expect(bad).toMatchObject({ isRunning: false, isBad: true, status: 'demo: no' });
    expect(advance(bad, { type: 'begin' })).toEqual({ ...EMPTY, isRunning: true, status: 'starting' });
  });
});
