// A conversation stays what was said: over turns, forks, undone turns, documents, and answers broken off at any point.
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ChatMessage } from '@hip/checkpoints';
import type { Chat } from '../../src/chat/chat.ts';
import { fakeModel, hashed, saying, type FakeModel } from '../helpers/fake-model.ts';

const QUESTIONS = ['What?', 'And then?', 'Why is that, 🙂?'];

/** What a conversation of these messages answers from an empty cache. */
async function fresh({ model }: FakeModel, messages: readonly ChatMessage[], question: string): Promise<string> {
  using chat = model.chat({ messages });
  return await chat.send(question).text();
}

describe('turns', () => {
  it('read what is new only', async () => {
    const fake = await fakeModel();
    using chat = fake.model.chat({ system: 'Be brief.' });
    expect(chat.messages).toEqual([{ role: 'system', content: 'Be brief.' }]);
    for (const question of QUESTIONS) {
      const before = chat.messages;
      const [held, computed] = [chat.cachedTokens, fake.engine.computed];
      const answer = chat.send(question);
      const text = await answer.text();
      expect(chat.messages).toEqual([
        ...before,
        { role: 'user', content: question },
        { role: 'assistant', content: text },
      ]);
      const { promptTokens, cachedTokens, generatedTokens, promptMs, generateMs } = answer.usage!;
      expect(cachedTokens).toBe(held);
      expect(generatedTokens).toBe(text.length);
      expect(fake.engine.computed - computed).toBe(promptTokens - cachedTokens + generatedTokens);
      expect(promptMs + generateMs).toBeGreaterThan(0);
      expect(await fresh(fake, before, question)).toBe(text);
    }
  });

  it('are read again from where a template renders them differently', async () => {
    // As templates do that drop the reasoning of earlier turns.
    const template = `{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' and not loop.last %}…{% else %}{{ m.content }}{% endif %}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}`;
    const fake = await fakeModel({ template });
    using chat = fake.model.chat();
    await chat.send('One').text();
    const answer = chat.send('Two');
    const text = await answer.text();
    expect(answer.usage!.cachedTokens).toBe('?user\nOne?\n?assistant\n'.length);
    expect(await fresh(fake, chat.messages.slice(0, 2), 'Two')).toBe(text);
  });

  it('are whatever is done, what their messages say', () =>
    fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.constantFrom('send', 'abort', 'leave', 'undo', 'fork', 'read'), fc.nat(20), fc.nat(2)), {
          maxLength: 12,
        }),
        async (steps) => {
          const controller: { current: AbortController; left: number } = {
            current: new AbortController(),
            left: Infinity,
          };
          const fake = await fakeModel({
            onStep: () => {
              if (controller.left-- <= 0) controller.current.abort();
            },
          });
          const chats: Chat[] = [fake.model.chat({ system: 'S' })];
          let document = 0;
          for (const [step, number, which] of steps) {
            const chat = chats[number % chats.length]!;
            const question = QUESTIONS[which]!;
            if (step === 'fork') chats.push(chat.fork());
            else if (step === 'undo') chat.undo();
            else if (step === 'read') await chat.read(`Document ${document++}.`);
            else if (step === 'leave') {
              let pieces = number % 4;
              for await (const _ of chat.send(question)) if (pieces-- <= 0) break;
            } else {
              controller.left = step === 'abort' ? number % 8 : Infinity;
              controller.current = new AbortController();
              await chat
                .send(question, { signal: controller.current.signal })
                .text()
                .catch(() => {});
              controller.left = Infinity;
            }
          }
          for (const chat of chats) {
            const roles = chat.messages.slice(1).map(({ role }) => role);
            expect(roles).toEqual(roles.map((_, i) => (i % 2 === 0 ? 'user' : 'assistant')));
            const before = chat.messages;
            const text = await chat.send('Last').text();
            // A document that was read is part of the question.
            const { content } = chat.messages.at(-2)!;
            expect(await fresh(fake, before, content as string)).toBe(text);
            chat.dispose();
          }
          expect(fake.engine.live).toBe(0);
        },
      ),
      { numRuns: 40 },
    ));
});

describe('an answer that is broken off', () => {
  it.each(['keep', 'drop'] as const)('at any step leaves the conversation whole: %s', async (partial) => {
    const whole = 'abcde 🙂 end';
    const bytes = new TextEncoder().encode(whole);
    for (let at = 0; at <= bytes.length; at++) {
      let left = Infinity;
      const abort = new AbortController();
      const reason = new Error('enough');
      const fake = await fakeModel({ follow: saying(bytes), onStep: () => void (left-- <= 0 && abort.abort(reason)) });
      using chat = fake.model.chat();
      await chat.send('First').text();
      const before = chat.messages;
      left = at;
      const answer = chat.send('Second', { signal: abort.signal, partial });
      let given = '';
      const thrown = await (async () => {
        for await (const piece of answer) given += piece;
        return undefined;
      })().catch((error: unknown) => error);
      expect(thrown).toMatchObject({ code: 'aborted', cause: reason });
      expect(answer.usage).toMatchObject({ finishReason: 'aborted' });
      expect(whole.startsWith(given)).toBe(true);
      const kept = partial === 'keep' && given !== '';
      expect(chat.messages.slice(before.length)).toEqual(
        kept
          ? [
              { role: 'user', content: 'Second' },
              { role: 'assistant', content: given },
            ]
          : [],
      );
      left = Infinity;
      expect(await chat.send('Third').text()).toBe(whole);
    }
  });

  it('between two pieces ends at once, and before the first has done nothing', async () => {
    const fake = await fakeModel({ follow: saying(new TextEncoder().encode('abc')) });
    using chat = fake.model.chat();
    const abort = new AbortController();
    const answer = chat.send('x', { signal: abort.signal })[Symbol.asyncIterator]();
    expect(await answer.next()).toEqual({ value: 'a', done: false });
    const { computed } = fake.engine;
    abort.abort();
    await expect(answer.next()).rejects.toMatchObject({ code: 'aborted' });
    expect(fake.engine.computed - computed).toBeLessThanOrEqual(1);
    await expect(chat.send('y', { signal: abort.signal }).text()).rejects.toMatchObject({ code: 'aborted' });
    expect(chat.messages).toHaveLength(2);
  });

  it('by an error keeps what was given, and the error', async () => {
    let failing = false;
    const follow = saying(new TextEncoder().encode('abcdef'));
    const { model } = await fakeModel({
      follow: (ids) => (failing && ids.at(-1) === 99 ? new Float32Array(258).fill(NaN) : follow(ids)),
    });
    using chat = model.chat();
    failing = true;
    const answer = chat.send('x');
    await expect(answer.text()).rejects.toMatchObject({
      code: 'non-finite-logits',
      details: { position: expect.any(Number) },
    });
    expect(answer.usage!.finishReason).toBe('failed');
    expect(chat.messages.at(-1)).toEqual({ role: 'assistant', content: 'abc' });
    failing = false;
    expect(await chat.send('y').text()).toBe('abcdef');
  });
});

describe('several conversations', () => {
  it('go on side by side, token by token', async () => {
    const order: number[] = [];
    const fake = await fakeModel({
      follow: saying(new TextEncoder().encode('abcdefgh')),
      onStep: (ids) => order.push(ids[6]!),
    });
    const chats = ['1', '2', '3'].map(() => fake.model.chat());
    const texts = await Promise.all(chats.map((chat, i) => chat.send(String(i + 1)).text()));
    expect(texts).toEqual(['abcdefgh', 'abcdefgh', 'abcdefgh']);
    const turns = Array.from({ length: order.length / 3 }, (_, i) =>
      order
        .slice(3 * i, 3 * i + 3)
        .sort((a, b) => a - b)
        .join(),
    );
    expect(new Set(turns).size).toBe(1);
  });

  it('are each asked one thing at a time, and end when they are disposed', async () => {
    const { model, engine } = await fakeModel();
    const chat = model.chat();
    const answer = chat.send('x')[Symbol.asyncIterator]();
    await answer.next();
    const busy = { code: 'busy' };
    await expect(chat.send('y').text()).rejects.toMatchObject(busy);
    await expect(chat.read('y')).rejects.toMatchObject(busy);
    expect(() => chat.fork()).toThrow(expect.objectContaining(busy));
    expect(() => chat.undo()).toThrow(expect.objectContaining(busy));
    chat.dispose();
    chat.dispose();
    await expect(
      (async () => {
        while (!(await answer.next()).done);
      })(),
    ).rejects.toMatchObject({ code: 'closed' });
    await expect(chat.send('y').text()).rejects.toMatchObject({ code: 'closed' });
    expect(chat.messages.at(-2)).toEqual({ role: 'user', content: 'x' });
    expect(engine.live).toBe(0);
  });
});

describe('documents', () => {
  it('are read ahead of the question, with progress, and asked about from the cache', async () => {
    const fake = await fakeModel();
    using chat = fake.model.chat({ system: 'S' });
    const document = 'A long story. '.repeat(50).trimEnd();
    const seen: number[][] = [];
    const tokens = await chat.read(document, { onProgress: (done, total) => seen.push([done, total]) });
    expect(seen.at(-1)).toEqual([tokens, tokens]);
    expect(tokens).toBeGreaterThan(document.length);
    expect(chat.messages).toHaveLength(1);
    const forked = chat.fork();
    const answer = chat.send('What happens?');
    const text = await answer.text();
    expect(answer.usage!.cachedTokens).toBe(tokens);
    expect(chat.messages[1]).toEqual({ role: 'user', content: `${document}\n\nWhat happens?` });
    expect(await forked.send('What happens?').text()).toBe(text);
    expect(chat.undo()).toBe(true);
    expect(chat.cachedTokens).toBe(tokens);
    expect(await chat.send('What happens?').text()).toBe(text);
    // The next question is not about it any more.
    await chat.send('Else?').text();
    expect(chat.messages.at(-2)).toEqual({ role: 'user', content: 'Else?' });
  });

  it('that do not fit are refused before anything is computed, with the tokens needed', async () => {
    const fake = await fakeModel({ contextTokens: 100 });
    using chat = fake.model.chat();
    const error = await chat.read('x'.repeat(200)).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: 'context-full', details: { contextTokens: 100, tokens: expect.any(Number) } });
    const { tokens } = (error as { details: { tokens: number } }).details;
    expect((error as Error).message).toContain(`${tokens}`);
    expect(fake.engine.computed).toBe(0);
    await expect(chat.send('x'.repeat(200)).text()).rejects.toMatchObject({ code: 'context-full' });
    expect(fake.engine.computed).toBe(0);
    expect(chat.messages).toEqual([]);
    await expect(chat.read('  ')).rejects.toMatchObject({ code: 'invalid-input' });
    expect(await chat.send('short').text()).toBe(await fresh(fake, [], 'short'));
  });

  it('may fill the context: the answer ends where it does', async () => {
    const { model } = await fakeModel({ contextTokens: 40, follow: () => 97 });
    using chat = model.chat();
    const answer = chat.send('x');
    // The last token needs no room: nobody asks what follows it.
    expect((await answer.text()).length).toBe(40 - answer.usage!.promptTokens + 1);
    expect(answer.usage!.finishReason).toBe('context');
  });
});

it('says what a chat needs', async () => {
  const { model } = await fakeModel({ follow: hashed, template: "{{ raise_exception('no ' + messages[0].role) }}" });
  await expect(model.chat().send('x').text()).rejects.toMatchObject({
    code: 'chat-template',
    details: { reason: 'no user' },
  });
  for (const options of [
    { maxTokens: -1 },
    { temperature: -1 },
    { topP: 2 },
    { repetitionPenalty: 0 },
    { partial: 'x' as never },
  ]) {
    await expect(model.chat().send('x', options).text()).rejects.toMatchObject({ code: 'invalid-input' });
  }
});
