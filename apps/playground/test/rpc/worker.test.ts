// Calls between a page and a worker over a pair of ports: results, events, failures, abortion, a worker that dies.
import { describe, expect, it } from 'vitest';
import { WorkerClient, type WorkerLike } from '../../src/rpc/client.ts';
import { failureOf, PlaygroundError, type FromWorker, type ToWorker } from '../../src/rpc/protocol.ts';
import { serve, type Handlers } from '../../src/rpc/worker.ts';

type Sums = {
  readonly add: { readonly input: readonly [number, number]; readonly event: never; readonly output: number };
  readonly count: { readonly input: number; readonly event: number; readonly output: string };
  readonly fail: { readonly input: string; readonly event: never; readonly output: never };
};

const handlers: Handlers<Sums> = {
  add: async ([a, b]) => a + b,
  count: async (to, { signal, emit }) => {
    for (let i = 0; i < to; i++) {
      emit(i);
      await new Promise((resolve) => setTimeout(resolve, 1));
      signal.throwIfAborted();
    }
    return 'done';
  },
  fail: async (code) => {
    throw Object.assign(new Error('it is too long: cut it'), { code });
  },
};

/** A worker in this thread, messages cloned and later as between threads. */
class LocalWorker extends EventTarget {
  isTerminated = false;
  readonly #inside = new EventTarget();

  constructor() {
    super();
    serve<Sums>(handlers, {
      postMessage: (message: FromWorker) => this.#send(this, message),
      addEventListener: (type, listener) => this.#inside.addEventListener(type, listener as never),
    });
  }

  postMessage(message: ToWorker): void {
    this.#send(this.#inside, message);
  }

  terminate(): void {
    this.isTerminated = true;
  }

  #send(to: EventTarget, message: unknown): void {
    const data: unknown = structuredClone(message);
    setTimeout(() => {
      if (!this.isTerminated) to.dispatchEvent(new MessageEvent('message', { data }));
    });
  }
}

function opened() {
  const workers: LocalWorker[] = [];
  const client = new WorkerClient<Sums>(() => {
    workers.push(new LocalWorker());
    return workers.at(-1) as unknown as WorkerLike;
  });
  return { client, workers };
}

describe('a worker', () => {
  it('gives results, of several calls at once', async () => {
    const { client, workers } = opened();
    const sums = [1, 2, 3].map((n) => client.call('add', [n, n]));
    expect(await Promise.all(sums)).toEqual([2, 4, 6]);
    expect(workers).toHaveLength(1);
  });

  it('tells events in order, before the result', async () => {
    const events: number[] = [];
    expect(await opened().client.call('count', 5, { onEvent: (n) => events.push(n) })).toBe('done');
    expect(events).toEqual([0, 1, 2, 3, 4]);
  });

  it('fails with the code and the words of what was thrown', async () => {
    await expect(opened().client.call('fail', 'context-full')).rejects.toMatchObject({
      code: 'context-full',
      message: 'it is too long: cut it',
    });
    const { client } = opened();
    await expect(client.call('nothing' as 'fail', '')).rejects.toMatchObject({ code: 'internal' });
  });

  it('stops where it is told to, and goes on serving', async () => {
    const { client } = opened();
    const controller = new AbortController();
    const onEvent = (n: number): void => void (n === 3 && controller.abort());
    await expect(client.call('count', 1000, { signal: controller.signal, onEvent })).rejects.toMatchObject({
      code: 'aborted',
    });
    await expect(client.call('count', 1, { signal: controller.signal })).rejects.toMatchObject({ code: 'aborted' });
    expect(await client.call('add', [1, 1])).toBe(2);
  });

  it('that dies fails every call, and another begins with the next', async () => {
    const { client, workers } = opened();
    const running = [client.call('count', 1000), client.call('count', 1000)];
    workers[0]!.dispatchEvent(Object.assign(new Event('error'), { message: 'out of memory' }));
    for (const call of running)
      await expect(call).rejects.toMatchObject({ code: 'worker-failed', message: /out of memory.*Reload/ });
    expect(await client.call('add', [2, 2])).toBe(4);
    client.close();
    expect(workers.map(({ isTerminated }) => isTerminated)).toEqual([true, true]);
  });
});

describe('failureOf', () => {
  it('keeps codes, names what is common, and shows the rest', () => {
    expect(failureOf(new PlaygroundError('no-text', 'no text'))).toEqual({ code: 'no-text', message: 'no text' });
    expect(failureOf(new DOMException('x', 'AbortError'))).toMatchObject({ code: 'aborted' });
    expect(failureOf(new DOMException('x', 'NotReadableError'))).toMatchObject({ code: 'file-access' });
    expect(failureOf(new RangeError('Array buffer allocation failed'))).toMatchObject({ code: 'out-of-memory' });
    expect(failureOf(new TypeError('x is no function'))).toEqual({ code: 'internal', message: 'x is no function' });
    expect(failureOf(undefined)).toEqual({ code: 'internal', message: 'undefined' });
  });
});
