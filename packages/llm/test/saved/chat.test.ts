// Saved conversations: what was said, how answers are generated, and the next answer.
import { describe, expect, it } from 'vitest';
import { collect } from '../../src/saved/collect.ts';
import { fakeModel } from '../helpers/fake-model.ts';

describe('a conversation', () => {
  it('goes on where it was saved: messages, turns, document, options, next answer', async () => {
    const { model } = await fakeModel();
    using chat = model.chat({ system: 'be brief', defaults: { maxTokens: 20, temperature: 0.7, seed: 3 } });
    await chat.send('hello').text();
    await chat.read('a document');
    const bytes = await chat.save();
    // Another process.
    const { model: other, engine } = await fakeModel();
    using again = await other.restore(bytes);
    expect(again.messages).toEqual(chat.messages);
    expect(again.cachedTokens).toBe(chat.cachedTokens);
    const [own, theirs] = [chat.send('and now?'), again.send('and now?')];
    expect(await theirs.text()).toBe(await own.text());
    expect(theirs.usage).toMatchObject({
      cachedTokens: own.usage!.cachedTokens,
      promptTokens: own.usage!.promptTokens,
    });
    expect(theirs.usage!.generatedTokens).toBeLessThanOrEqual(20);
    expect(again.messages).toEqual(chat.messages);
    expect([again.undo(), chat.undo()]).toEqual([true, true]);
    expect([again.undo(), chat.undo()]).toEqual([true, true]);
    expect(again.messages).toEqual(chat.messages);
    expect(again.cachedTokens).toBe(chat.cachedTokens);
    expect(engine.live).toBe(1);
  });

  it('is saved piece by piece, while it goes on', async () => {
    const { model, engine } = await fakeModel();
    using chat = model.chat();
    await chat.send('one').text();
    const before = chat.messages;
    const pieces = chat.savePieces();
    const first = await pieces.next();
    await chat.send('two').text();
    async function* all() {
      yield first.value!;
      yield* pieces;
    }
    using again = await model.restore(all());
    expect(again.messages).toEqual(before);
    expect(engine.live).toBe(2);
  });

  it('is refused where it is none, is busy, is disposed; options of the caller win', async () => {
    const { model, engine } = await fakeModel();
    using chat = model.chat({ defaults: { maxTokens: 3 } });
    const pieces = chat.send('hello')[Symbol.asyncIterator]();
    await pieces.next();
    await expect(chat.save()).rejects.toMatchObject({ code: 'busy' });
    await pieces.return?.();
    const bytes = await chat.save();
    using longer = await model.restore(bytes, { defaults: { maxTokens: 1 } });
    const answer = longer.send('hello');
    await answer.text();
    expect(answer.usage!.generatedTokens).toBeLessThanOrEqual(1);
    await expect(model.restore(bytes.subarray(0, 40))).rejects.toMatchObject({ code: 'saved-damaged' });
    await expect(model.restore(new Uint8Array(50))).rejects.toMatchObject({ code: 'saved-damaged' });
    chat.dispose();
    await expect(collect(chat.savePieces())).rejects.toMatchObject({ code: 'closed' });
    expect(engine.live).toBe(1);
  });
});
