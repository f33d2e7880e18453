// A worker's side of a report: it waits for the answer, not for ever, and no longer once nobody answers.
import { describe, expect, it } from 'vitest';
import { readReport } from '../../src/evaluate/queue-messages.ts';
import { reporting } from '../../src/evaluate/queue-reports.ts';

function between(answersOf: (report: { step: number }) => readonly string[], options: { fails?: boolean } = {}) {
  const list: string[] = [];
  let sent = 0;
  const onReport = reporting({
    client: { lpop: (async () => list.shift() ?? null) as never },
    key: 'answers',
    async send(message) {
      if (options.fails) throw new Error('READONLY');
      sent++;
      const report = readReport(JSON.parse(JSON.stringify(message)))!;
      list.push(...answersOf(report));
    },
    signal: new AbortController().signal,
    patienceMs: 200,
  });
  return { onReport, sent: () => sent };
}
const report = (step: number) => ({ step, values: { loss: 1, other: Number.NaN } });
const answer = (step: number, text: string): string => JSON.stringify({ step, answer: text });

describe('reports of a worker', () => {
  it('are answered each by its own answer; a stop that came late stops, too', async () => {
    const { onReport } = between(({ step }) => [answer(step, step < 4 ? 'go-on' : 'stop')]);
    expect([await onReport(report(1)), await onReport(report(2)), await onReport(report(4))]).toEqual([
      'go-on',
      'go-on',
      'stop',
    ]);
    const late = between(({ step }) => (step === 2 ? [answer(1, 'stop')] : []));
    expect([await late.onReport(report(1)), await late.onReport(report(2))]).toEqual(['go-on', 'stop']);
  });

  it('go on where nobody answers, where the answer is nonsense and where the server fails', async () => {
    const alone = between(() => []);
    const start = performance.now();
    for (let step = 1; step <= 1000; step++) expect(await alone.onReport(report(step))).toBe('go-on');
    // The first waited; were each to wait, it would take 200 seconds.
    expect(performance.now() - start).toBeLessThan(100_000);
    expect(alone.sent()).toBe(1000);
    expect(await between(() => ['stop', '{"step":9,"answer":"halt"}']).onReport(report(1))).toBe('go-on');
    expect(await between(() => [answer(1, 'stop')], { fails: true }).onReport(report(1))).toBe('go-on');
  });

  it('are read as what they are, and nothing else is', () => {
    for (const data of [
      undefined,
      3,
      { kind: 'report', step: 0, values: {} },
      { kind: 'report', step: 1 },
      { step: 1, values: {} },
    ])
      expect(readReport(data)).toBeUndefined();
    expect(readReport({ kind: 'report', step: 2, values: { loss: 'NaN', acc: 0.5 } })).toEqual({
      step: 2,
      values: { loss: Number.NaN, acc: 0.5 },
    });
  });
});
