// Prefixes: a document is computed once, whoever asks and however often; found again by what it holds; refused where it is another's.
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { browserStore, folderStore, type PrefixStore } from '../../src/saved/store.ts';
import { collect } from '../../src/saved/collect.ts';
import { fakeModel } from '../helpers/fake-model.ts';

const DOCUMENT = 'a long document, of which there is only one. '.repeat(20);

/** A store in memory that counts. */
function memoryStore(): PrefixStore & { readonly held: Map<string, Uint8Array>; writes: number } {
  const held = new Map<string, Uint8Array>();
  return {
    held,
    writes: 0,
    read: async (key) => held.get(key),
    async write(key, pieces) {
      held.set(key, await collect(pieces));
      this.writes++;
    },
    delete: async (key) => void held.delete(key),
  };
}

describe('a prefix', () => {
  it('is computed once for all who ask, at once and later', async () => {
    const { model, engine } = await fakeModel();
    const [first, second] = await Promise.all([model.prefix(DOCUMENT), model.prefix(DOCUMENT)]);
    expect(engine.computed).toBe(first.tokens);
    expect([first.origin, second.origin]).toEqual(['computed', 'memory']);
    const questions = ['What?', 'Who?', 'Where?'];
    const answers = questions.map((question) => first.ask(question));
    const texts = await Promise.all(answers.map((answer) => answer.text()));
    for (const [i, answer] of answers.entries()) {
      expect(answer.usage!.cachedTokens).toBeGreaterThanOrEqual(first.tokens - 1);
      using alone = model.chat();
      await alone.read(DOCUMENT);
      expect(await alone.send(questions[i]!).text()).toBe(texts[i]);
    }
    const live = engine.live;
    using chat = second.chat();
    first.dispose();
    first.dispose();
    second.dispose();
    await Promise.resolve();
    // Of base and conversation the latter.
    expect([live, engine.live]).toEqual([1, 1]);
    expect(await chat.send('What?').text()).toBe(texts[0]);
    expect(chat.messages).toHaveLength(2);
    // Nobody holds it any more.
    const computed = engine.computed;
    using again = await model.prefix(DOCUMENT);
    expect(again.origin).toBe('computed');
    expect(engine.computed - computed).toBe(again.tokens);
  });

  it('is another one with another document, instruction or template', async () => {
    const { model } = await fakeModel();
    const made = [
      await model.prefix(DOCUMENT),
      await model.prefix(`${DOCUMENT} x`),
      await model.prefix(DOCUMENT, { system: 'be brief' }),
    ];
    expect(new Set(made.map(({ key }) => key)).size).toBe(3);
    expect(made.map(({ origin }) => origin)).toEqual(['computed', 'computed', 'computed']);
    for (const each of made) each.dispose();
    await expect(model.prefix('  ')).rejects.toMatchObject({ code: 'invalid-input' });
  });

  it('is not given up because one of those who wait does', async () => {
    const { model, engine } = await fakeModel();
    const stop = new AbortController();
    const [first, second] = [model.prefix(DOCUMENT, { signal: stop.signal }), model.prefix(DOCUMENT)];
    const settled = Promise.allSettled([first, second]);
    stop.abort(new Error('enough'));
    const [aborted, whole] = await settled;
    expect(aborted).toMatchObject({ status: 'rejected', reason: { code: 'aborted' } });
    expect(whole).toMatchObject({ status: 'fulfilled', value: { origin: 'computed' } });
    // And the other way round: who waits leaves, and the reader goes on.
    const other = new AbortController();
    const reading = model.prefix('another document');
    const waiting = model.prefix('another document', { signal: other.signal });
    const left = waiting.catch((error: { code: string }) => error.code);
    other.abort();
    expect(await left).toBe('aborted');
    using held = await reading;
    using joined = await model.prefix('another document');
    expect([held.origin, joined.origin]).toEqual(['computed', 'memory']);
    (whole as PromiseFulfilledResult<Disposable>).value[Symbol.dispose]();
    await Promise.resolve();
    expect(engine.live).toBe(1);
    expect(await model.prefix('x', { signal: AbortSignal.abort() }).catch((error) => error.code)).toBe('aborted');
  });
});

describe('a store', () => {
  it('keeps it for the next process, and serves without computing', async () => {
    const store = memoryStore();
    const { model } = await fakeModel();
    using made = await model.prefix(DOCUMENT, { store });
    expect([made.origin, made.problem, store.writes]).toEqual(['computed', undefined, 1]);
    const text = await made.ask('What?').text();
    const { model: other, engine } = await fakeModel();
    using found = await other.prefix(DOCUMENT, { store });
    expect([found.origin, found.key, found.tokens, engine.computed]).toEqual(['store', made.key, made.tokens, 0]);
    expect(await found.ask('What?').text()).toBe(text);
    expect(store.writes).toBe(1);
    using chat = await other.restore(await found.save());
    expect(await chat.send('What?').text()).toBe(text);
  });

  it('of another model does not serve; what is damaged or another text is read anew, and says why', async () => {
    const store = memoryStore();
    const { model, engine } = await fakeModel();
    (await model.prefix(DOCUMENT, { store })).dispose();
    const [key] = store.held.keys() as Iterable<string> as [string] | IterableIterator<string>;
    const name = key as string;
    const { model: other, engine: second } = await fakeModel();
    Object.assign(second, { fingerprint: 'another' });
    (await other.prefix(DOCUMENT, { store })).dispose();
    expect(store.held.size).toBe(2);
    expect(second.computed).toBe(engine.computed);
    // Put where it does not belong.
    const [own, theirs] = [...store.held.keys()] as [string, string];
    const whole = store.held.get(own)!;
    for (const [bytes, code] of [
      [store.held.get(theirs)!, 'saved-mismatch'],
      [whole.subarray(0, whole.length - 3), 'saved-damaged'],
      [new Uint8Array(3), 'saved-damaged'],
    ] as const) {
      store.held.set(name, bytes);
      using anew = await model.prefix(DOCUMENT, { store });
      expect([anew.origin, (anew.problem as { code: string }).code]).toEqual(['computed', code]);
      expect(store.held.get(name)).toEqual(whole);
    }
    (await model.prefix('another text', { store })).dispose();
    store.held.set(name, [...store.held.values()].at(-1)!);
    using anew = await model.prefix(DOCUMENT, { store });
    expect((anew.problem as { code: string }).code).toBe('saved-damaged');
  });

  it('that cannot be written to leaves the prefix as it is', async () => {
    const { model, engine } = await fakeModel();
    const full = new Error('no space left on device');
    const store = { ...memoryStore(), write: () => Promise.reject(full) };
    using made = await model.prefix(DOCUMENT, { store });
    expect([made.origin, made.problem]).toEqual(['computed', full]);
    expect((await made.ask('What?').text()).length).toBeGreaterThan(0);
    const broken = { ...store, read: () => Promise.reject(full) };
    await expect(model.prefix('another', { store: broken })).rejects.toBe(full);
    expect(engine.live).toBe(1);
  });

  it('in a browser is refused in Node', async () => {
    await expect(browserStore()).rejects.toMatchObject({ code: 'unsupported' });
  });

  describe('in a folder', () => {
    let folder: string;
    beforeAll(async () => {
      folder = join(await mkdtemp(join(tmpdir(), 'prefix-')), 'made when it is needed');
    });
    afterAll(() => rm(join(folder, '..'), { recursive: true }));

    it('has whole files or none', async () => {
      const store = folderStore(folder);
      expect(await store.read('abc')).toBeUndefined();
      await store.delete('abc');
      const { model } = await fakeModel();
      (await model.prefix(DOCUMENT, { store })).dispose();
      const { model: other } = await fakeModel();
      using found = await other.prefix(DOCUMENT, { store });
      expect(found.origin).toBe('store');
      expect(await readdir(folder)).toEqual([`${found.key}.prefix`]);
      async function* failing() {
        yield new Uint8Array(3);
        throw new Error('in the middle');
      }
      await expect(store.write(found.key, failing())).rejects.toThrow('in the middle');
      expect(await readdir(folder)).toEqual([`${found.key}.prefix`]);
      const path = join(folder, `${found.key}.prefix`);
      const bytes = await readFile(path);
      bytes[bytes.length >> 1]! ^= 4;
      await writeFile(path, bytes);
      const { model: third } = await fakeModel();
      using anew = await third.prefix(DOCUMENT, { store });
      expect([anew.origin, (anew.problem as { code: string }).code]).toEqual(['computed', 'saved-damaged']);
      await expect(store.read('../abc')).rejects.toMatchObject({ code: 'invalid-input' });
      await store.delete(found.key);
      expect(await readdir(folder)).toEqual([]);
    });
  });
});
