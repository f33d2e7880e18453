// Requests side by side: turns, places, the queue, shared beginnings, aborts, the end.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LlmError } from '../../src/errors.ts';
import { partsOf } from '../../src/model/language-model.ts';
import type { FakeEngine } from '../helpers/fake-engine.ts';
import { END, hashed } from '../helpers/fake-model.ts';
import { eventsOf, request, served, type Json } from '../helpers/serving.ts';

const letters = (ids: readonly number[]) => (hashed(ids) === END ? 97 : hashed(ids));
const ask = (prompt: string, fields: object = {}) =>
  request('/v1/completions', { prompt, temperature: 0, max_tokens: 20, ...fields });
const until = async (condition: () => boolean) => {
  while (!condition()) await new Promise((resolve) => void setImmediate(resolve));
};

describe('turns', () => {
  it('go round by token', async () => {
    const steps: string[] = [];
    const { server, tokenizer } = await served({
      follow: letters,
      onStep: (ids) => void (ids.length > 1 && steps.push(tokenizer.decode(ids.slice(0, 1)))),
    });
    await Promise.all(['a-prompt', 'b-prompt', 'c-prompt'].map((prompt) => server.fetch(ask(prompt))));
    // Between two steps of a request every other has one or two, until they end.
    for (const name of ['a', 'b', 'c']) {
      const at = steps.flatMap((step, index) => (step === name ? [index] : []));
      expect(at).toHaveLength(20);
      const gaps = at.slice(1).map((index, i) => index - (at[i] as number));
      expect(Math.max(...gaps)).toBeLessThanOrEqual(5);
    }
  });

  it('are for so many at once; others wait, in order, and one too many is told when to come again', async () => {
    const { server } = await served({ follow: letters }, { slots: 2, queue: 3 });
    const ended: number[] = [];
    const all = Array.from({ length: 7 }, async (_, index) => {
      const response = await server.fetch(ask(`prompt ${index}`, { max_tokens: 5 }));
      ended.push(index);
      return response;
    });
    await until(() => server.load.running === 2 && server.load.waiting === 3);
    const responses = await Promise.all(all);
    const statuses = responses.map(({ status }) => status);
    expect(statuses.filter((status) => status === 200)).toHaveLength(5);
    const refused = responses.filter(({ status }) => status === 429);
    expect(refused).toHaveLength(2);
    for (const response of refused) {
      expect(Number(response.headers.get('retry-after'))).toBeGreaterThanOrEqual(1);
      expect((await response.json()).error).toMatchObject({
        type: 'rate_limit_error',
        code: 'rate_limit_exceeded',
      });
    }
    const answered = ended.filter((index) => statuses[index] === 200);
    expect(answered).toEqual([...answered].sort((a, b) => a - b));
    expect(server.load).toMatchObject({ running: 0, waiting: 0 });
  });

  it('hold no more tokens together than the cache, and one alone whatever it needs', async () => {
    let most = 0;
    const { server } = await served({ follow: letters }, { slots: 8, cacheTokens: 100 });
    const watch = setInterval(() => (most = Math.max(most, server.load.running)));
    const responses = await Promise.all(
      Array.from({ length: 6 }, (_, index) => server.fetch(ask(`p${index}`, { max_tokens: 38 }))),
    );
    clearInterval(watch);
    expect(responses.every(({ status }) => status === 200)).toBe(true);
    expect(most).toBe(2);
    expect((await server.fetch(ask('p', { max_tokens: 300 }))).status).toBe(200);
    expect(server.load.prefixTokens).toBeLessThanOrEqual(100);
  });
});

describe('a draft', () => {
  it('changes no answer: side by side, streamed, with shared beginnings and log-probabilities; and nothing of it stays', async () => {
    // Agrees two times of three.
    const draft = (ids: readonly number[]) => (ids.length % 3 === 0 ? 98 : letters(ids));
    const [plain, drafted] = [await served({ follow: letters }), await served({ follow: letters, draft })];
    const beginning = 'A beginning that all of these requests have in common. ';
    const texts = async ({ server }: typeof plain) =>
      Promise.all(
        ['Who?', 'What?', 'Where?', beginning, 'When?'].map(async (end, index) => {
          const fields = { logprobs: 1, stream: index % 2 === 1, n: 1 + (index % 2), max_tokens: 60 };
          const response = await server.fetch(ask(beginning + end, fields));
          const events = fields.stream ? (await eventsOf(response)).slice(0, -1) : [await response.json()];
          const pieces: string[] = [];
          for (const { choices } of events)
            for (const { index: at, text } of choices) pieces[at] = (pieces[at] ?? '') + text;
          return pieces;
        }),
      );
    const expected = await texts(plain);
    expect(expected.flat().every(({ length }) => length >= 60)).toBe(true);
    expect(await texts(drafted)).toEqual(expected);
    const draftEngine = partsOf(drafted.model).draft!.engine as FakeEngine;
    expect(draftEngine.computed).toBeGreaterThan(60);
    await drafted.server.close();
    expect([drafted.engine.live, draftEngine.live]).toEqual([0, 0]);
  });
});

describe('shared beginnings', () => {
  const beginning = 'You are an assistant of few words, who answers in one sentence. '.repeat(3);

  it('are computed once for requests one after another', async () => {
    const { post, engine } = await served({ follow: letters });
    const usages: Json[] = [];
    for (const question of ['Who?', 'What?', 'Where?']) {
      const { body } = await post('/v1/completions', { prompt: beginning + question, temperature: 0, max_tokens: 4 });
      usages.push(body.usage);
    }
    const [first, ...others] = usages;
    expect(first.prompt_tokens_details.cached_tokens).toBe(0);
    for (const usage of others)
      expect(usage.prompt_tokens_details.cached_tokens).toBeGreaterThanOrEqual(beginning.length);
    // The beginning once, questions, and three steps an answer.
    expect(engine.computed).toBeLessThan(beginning.length + 3 * 10 + 3 * 3);
  });

  it('are computed once for requests at the same time', async () => {
    const { server, engine } = await served({ follow: letters });
    const questions = ['Who?', 'What?', 'Where?', 'When?', 'Why?'];
    const together = await Promise.all(
      questions.map(async (question) => (await server.fetch(ask(beginning + question))).json()),
    );
    expect(engine.computed).toBeLessThan(beginning.length + 5 * (7 + 20));
    const alone = await served({ follow: letters });
    for (const [index, question] of questions.entries()) {
      const { body } = await alone.post('/v1/completions', {
        prompt: beginning + question,
        temperature: 0,
        max_tokens: 20,
      });
      expect(together[index].choices[0].text).toBe(body.choices[0].text);
    }
  });

  it('are what a conversation goes on from', async () => {
    const { post } = await served({ follow: letters });
    const read: number[] = [];
    const messages: Json[] = [{ role: 'user', content: 'The first question of a conversation.' }];
    for (let turn = 0; turn < 3; turn++) {
      const { body } = await post('/v1/chat/completions', { messages, temperature: 0, max_tokens: 12 });
      const { prompt_tokens, prompt_tokens_details } = body.usage;
      read.push(prompt_tokens - prompt_tokens_details.cached_tokens);
      messages.push(body.choices[0].message, { role: 'user', content: `And then ${turn}?` });
    }
    // All but the new message and the template's frame.
    expect(Math.max(...read.slice(1))).toBeLessThan(60);
  });

  it('are read by the next where the one that read them is gone', async () => {
    const controller = new AbortController();
    let steps = 0;
    const { server, engine } = await served({
      follow: letters,
      onStep: () => {
        if (steps++ === 0) controller.abort();
      },
    });
    const first = server.fetch(new Request(ask(beginning), { signal: controller.signal }));
    const second = server.fetch(ask(`${beginning}And?`));
    expect((await first).status).toBe(499);
    expect((await second).status).toBe(200);
    expect(server.load).toMatchObject({ running: 0, waiting: 0 });
    expect(engine.live).toBe(server.load.prefixes);
  });

  it('are bounded, least recently used ones dropped first', async () => {
    const { post, server, engine } = await served({ follow: letters }, { cacheTokens: 300 });
    for (let index = 0; index < 8; index++) {
      const prompt = `${index}${'-'.repeat(70)}`;
      const { body } = await post('/v1/completions', { prompt, max_tokens: 4 });
      expect(body.usage.prompt_tokens_details.cached_tokens).toBe(0);
    }
    expect(server.load.prefixTokens).toBeLessThanOrEqual(300);
    // A request that runs leaves room for three.
    expect(server.load.prefixes).toBe(3);
    expect(engine.live).toBe(3);
    const again = async (index: number) =>
      (await post('/v1/completions', { prompt: `${index}${'-'.repeat(70)}`, max_tokens: 4 })).body.usage
        .prompt_tokens_details.cached_tokens;
    expect(await again(7)).toBeGreaterThan(60);
    expect(await again(0)).toBe(0);
  });
});

describe('conversations whose windows slide', () => {
  it('have room for as many as the engine says: half are answered, half kept', async () => {
    const { post, server, engine } = await served({ follow: letters, conversations: 4 });
    const most = { running: 0, live: 0 };
    const watched = setInterval(() => {
      most.running = Math.max(most.running, server.load.running);
      most.live = Math.max(most.live, engine.live);
    }, 0);
    const ask = (index: number) => post('/v1/completions', { prompt: `${index}${'-'.repeat(40)}`, max_tokens: 30 });
    const answers = await Promise.all(Array.from({ length: 7 }, (_, index) => ask(index)));
    clearInterval(watched);
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
    expect(most.running).toBeLessThanOrEqual(2);
    expect(server.load.prefixes).toBe(2);
    expect(engine.live).toBe(2);
  });
});

describe('what is broken off', () => {
  it.each([false, true])('frees its place and its tokens (stream: %s)', async (stream) => {
    const { server, engine } = await served({ follow: letters }, { slots: 1, cacheTokens: 60 });
    const controller = new AbortController();
    const response = server.fetch(
      new Request(ask('p', { max_tokens: 100_000, stream }), { signal: controller.signal }),
    );
    await until(() => engine.computed > 10);
    if (stream) {
      const reader = (await response).body!.getReader();
      await reader.read();
      await reader.cancel();
    } else {
      controller.abort();
    }
    expect((await response).status).toBe(stream ? 200 : 499);
    await until(() => server.load.running === 0);
    expect((await server.fetch(ask('next'))).status).toBe(200);
    expect(engine.live).toBe(server.load.prefixes);
  });

  it('leaves the queue', async () => {
    const { server } = await served({ follow: letters }, { slots: 1, queue: 1 });
    const first = server.fetch(ask('first', { max_tokens: 200 }));
    await until(() => server.load.running === 1);
    const controller = new AbortController();
    const second = server.fetch(new Request(ask('second'), { signal: controller.signal }));
    await until(() => server.load.waiting === 1);
    controller.abort();
    expect((await second).status).toBe(499);
    expect(server.load.waiting).toBe(0);
    const third = server.fetch(ask('third'));
    expect((await first).status).toBe(200);
    expect((await third).status).toBe(200);
  });
});

describe('the end', () => {
  it('refuses who waits and who comes, lets answers end for a while, then ends them', async () => {
    const { server, engine } = await served({ follow: letters }, { slots: 1, queue: 4 });
    const running = await server.fetch(ask('first', { max_tokens: 1_000_000, stream: true }));
    const waiting = server.fetch(ask('second'));
    await until(() => server.load.waiting === 1);
    const closed = server.close(50);
    expect((await waiting).status).toBe(503);
    const late = await server.fetch(ask('third'));
    expect([late.status, (await late.json()).error.code]).toEqual([503, 'shutting_down']);
    const events = await eventsOf(running);
    expect(events.length).toBeGreaterThan(2);
    expect(events.at(-1)).toMatchObject({ error: { code: 'shutting_down' } });
    await closed;
    expect(engine.live).toBe(0);
    expect(engine.isClosed).toBe(false);
  });

  it('comes at once where nothing runs, and once', async () => {
    const { server, engine } = await served({ follow: letters });
    await server.fetch(ask('a prompt that is long enough to be kept'));
    expect(engine.live).toBe(1);
    await Promise.all([server.close(), server.close()]);
    expect(engine.live).toBe(0);
  });
});

/** What was given of an answer, and whether it is all. */
async function answerOf(response: Response, isStream: boolean): Promise<{ text: string; isWhole: boolean }> {
  if (response.status !== 200) return { text: '', isWhole: false };
  if (!isStream) return { text: (await response.json()).choices[0].text, isWhole: true };
  const events = await eventsOf(response);
  return { text: events.map((event) => event.choices?.[0]?.text ?? '').join(''), isWhole: events.at(-1) === '[DONE]' };
}

it('gives every answer as alone, whatever comes and goes beside it (property)', async () => {
  const alone = new Map<string, string>();
  const reference = await served({ follow: letters }, { cacheTokens: 20 });
  const expected = async (prompt: string, tokens: number): Promise<string> => {
    const key = `${tokens}:${prompt}`;
    if (!alone.has(key)) {
      const { body } = await reference.post('/v1/completions', { prompt, temperature: 0, max_tokens: tokens });
      alone.set(key, body.choices[0].text);
    }
    return alone.get(key)!;
  };
  const prompts = ['', 'A beginning that many have', 'A beginning that many have, and more', 'Another'].flatMap(
    (text) => [`${text}!`, `${text}?`],
  );
  const asked = fc.record({
    prompt: fc.constantFrom(...prompts),
    tokens: fc.integer({ min: 1, max: 30 }),
    stream: fc.boolean(),
    abortAfter: fc.option(fc.integer({ min: 0, max: 8 }), { nil: undefined }),
    fails: fc.boolean(),
  });
  const shape = fc.record({ slots: fc.integer({ min: 1, max: 4 }), cacheTokens: fc.integer({ min: 1, max: 400 }) });
  await fc.assert(
    fc.asyncProperty(
      fc.array(asked, { minLength: 1, maxLength: 8 }),
      shape,
      fc.integer({ min: 3, max: 40 }),
      async (all, options, failEvery) => {
        let steps = 0;
        const onStep = (): void => {
          if (all.some(({ fails }) => fails) && ++steps % failEvery === 0)
            throw new LlmError('out-of-memory', 'no room');
        };
        const { server, engine } = await served({ follow: letters, onStep }, { ...options, queue: 8 });
        await Promise.all(
          all.map(async ({ prompt, tokens, stream, abortAfter }) => {
            const controller = new AbortController();
            if (abortAfter === 0) controller.abort();
            else if (abortAfter !== undefined) {
              let ticks = abortAfter;
              const tick = (): void => void (ticks-- > 0 ? setImmediate(tick) : controller.abort());
              tick();
            }
            const response = await server.fetch(
              new Request(ask(prompt, { max_tokens: tokens, stream }), { signal: controller.signal }),
            );
            const should = await expected(prompt, tokens);
            const { text, isWhole } = await answerOf(response, stream);
            expect([200, 499, 503]).toContain(response.status);
            expect(text).toBe(isWhole ? should : should.slice(0, text.length));
          }),
        );
        expect(server.load).toMatchObject({ running: 0, waiting: 0 });
        expect(server.load.prefixTokens).toBeLessThanOrEqual(options.cacheTokens);
        expect(engine.live).toBe(server.load.prefixes);
        await server.close();
        expect(engine.live).toBe(0);
      },
    ),
    { numRuns: 25 },
  );
});
