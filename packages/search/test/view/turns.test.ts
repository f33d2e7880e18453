// Jobs of a page in turns: in order, once each, with the page's own tasks between them, and none after the end.
import { describe, expect, it } from 'vitest';
import { inSlices, nextTask, Turns } from '../../src/view/turns.ts';

/** Longer than a slice. */
const busy = (): void => {
  for (const end = performance.now() + 15; performance.now() < end;);
};

describe('turns', () => {
  it('run in order; what is asked for again meanwhile runs once, as it was asked last', async () => {
    const turns = new Turns(new AbortController().signal);
    const ran: string[] = [];
    const job = (name: string) => () => {
      ran.push(name);
      busy();
    };
    for (const name of ['a', 'b', 'c']) turns.ask(name, job(name));
    const first = turns.run();
    expect(ran).toEqual(['a']);
    turns.ask('c', job('c, newer'));
    await Promise.all([first, turns.run()]);
    expect(ran).toEqual(['a', 'b', 'c, newer']);
    turns.ask('d', job('d'));
    await turns.run();
    expect(ran.at(-1)).toBe('d');
  });

  it('let the page do what waits', async () => {
    const turns = new Turns(new AbortController().signal);
    const ran: string[] = [];
    for (const name of ['a', 'b']) {
      turns.ask(name, () => {
        ran.push(name);
        busy();
      });
    }
    setTimeout(() => ran.push('a key is pressed'));
    await turns.run();
    expect(ran).toEqual(['a', 'a key is pressed', 'b']);
  });

  it('end with the signal, and go on after a job that failed', async () => {
    const abort = new AbortController();
    const turns = new Turns(abort.signal);
    turns.ask('a', () => {
      throw new Error('no room');
    });
    await expect(turns.run()).rejects.toThrow('no room');
    let ran = 0;
    turns.ask('b', () => void ran++);
    await turns.run();
    expect(ran).toBe(1);
    turns.ask('c', () => void ran++);
    abort.abort();
    await turns.run();
    expect(ran).toBe(1);
  });
});

it('a computation in slices gives what it gives at once, or nothing where it was aborted', async () => {
  function* steps(): Generator<undefined, number> {
    for (let i = 0; i < 3; i++) {
      busy();
      yield undefined;
    }
    return 42;
  }
  const abort = new AbortController();
  expect(await inSlices(steps(), abort.signal)).toBe(42);
  const cut = inSlices(steps(), abort.signal);
  abort.abort();
  expect(await cut).toBeUndefined();
  await nextTask();
});
