// GGUF files: what is in them is found, rows are read alone, pieces are joined, damage is typed.
import { gguf } from '@huggingface/gguf';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CheckpointError } from '../../src/errors.ts';
import { memoryFiles } from '../../src/files/files.ts';
import { openGguf, openGgufFiles } from '../../src/gguf/open.ts';
import { floats, writeGguf } from '../helpers/gguf.ts';

const bytes = (length: number) => Uint8Array.from({ length }, (_, i) => (i * 37) % 251);

describe('openGguf', () => {
  it('reads metadata of every type and tensors in row-major shapes', async () => {
    const file = await openGguf(
      writeGguf(
        {
          'general.architecture': ['str', 'llama'],
          count: ['u64', 2 ** 40],
          flag: ['bool', false],
          scale: ['f32', 0.5],
          names: ['str[]', ['ä', '', '▁x']],
          types: ['i32[]', [-1, 3]],
        },
        [floats('a', [2, 3], [1, 2, 3, 4, 5, 6]), { name: 'q', shape: [4, 64], dtype: 'Q8_0', bytes: bytes(8 * 34) }],
      ),
    );
    expect(Object.fromEntries(file.metadata)).toMatchObject({
      'general.architecture': 'llama',
      count: 2 ** 40,
      flag: false,
      scale: 0.5,
      names: ['ä', '', '▁x'],
      types: [-1, 3],
    });
    expect(await file.read('a')).toEqual({ name: 'a', shape: [2, 3], data: new Float32Array([1, 2, 3, 4, 5, 6]) });
    expect(await file.readRaw('q', { rows: [1, 3] })).toEqual({
      name: 'q',
      dtype: 'Q8_0',
      shape: [2, 64],
      bytes: bytes(8 * 34).slice(2 * 34, 6 * 34),
    });
    expect((await file.read('q')).data).toHaveLength(256);
    await expect(file.read('b')).rejects.toMatchObject({ code: 'missing-weight' });
    await expect(file.readRaw('a', { rows: [1, 3] })).rejects.toMatchObject({ code: 'invalid-shape' });
    await file.close();
  });

  it('lists types that it cannot read, and says so when one is asked for', async () => {
    const file = await openGguf(
      writeGguf({ 'general.architecture': ['str', 'llama'] }, [
        { name: 'iq', shape: [1, 256], dtype: 17, bytes: bytes(74) },
        { name: 'new', shape: [1, 256], dtype: 99, bytes: bytes(74) },
        floats('x', [1], [7]),
      ]),
    );
    expect(file.tensors.get('iq')).toMatchObject({ dtype: undefined, typeName: 'IQ2_XS' });
    await expect(file.read('iq')).rejects.toMatchObject({ code: 'unsupported-dtype', details: { dtype: 'IQ2_XS' } });
    await expect(file.readRaw('new')).rejects.toMatchObject({ code: 'unsupported-dtype' });
    expect((await file.read('x')).data[0]).toBe(7);
  });

  it('joins a model in pieces, whichever is named', async () => {
    const name = (i: number) => `m-0000${i}-of-00002.gguf`;
    const piece = (i: number) =>
      writeGguf(i === 1 ? { 'general.architecture': ['str', 'llama'] } : {}, [floats(`t${i}`, [2], [i, -i])]);
    const files = new Map([1, 2].map((i) => [name(i), piece(i)]));
    for (const i of [1, 2]) {
      const file = await openGgufFiles(memoryFiles(files), name(i));
      expect(file.metadata.get('general.architecture')).toBe('llama');
      expect((await file.read('t2')).data).toEqual(new Float32Array([2, -2]));
      expect((await file.read('t1')).data).toEqual(new Float32Array([1, -1]));
    }
    files.delete(name(2));
    await expect(openGgufFiles(memoryFiles(files), name(1))).rejects.toMatchObject({
      code: 'file-not-found',
      details: { name: name(2) },
    });
  });

  it('reads what @huggingface/gguf reads, headers longer than the first piece too', async () => {
    const words = Array.from({ length: 60_000 }, (_, i) => `Ġw${i}é▁🐳`.slice(0, 3 + (i % 9)));
    const bytesOf = writeGguf(
      {
        'general.architecture': ['str', 'llama'],
        words: ['str[]', words],
        scores: ['f32[]', words.map((_, i) => -i)],
        last: ['str', 'x'.repeat(99)],
      },
      [floats('a', [3, 2], [1, 2, 3, 4, 5, 6]), floats('b', [5], [1, 2, 3, 4, 5])],
    );
    const respond: typeof fetch = async (_, init) => {
      const [from, to] = new Headers(init?.headers).get('range')!.slice(6).split('-').map(Number);
      return new Response(bytesOf.slice(from, to! + 1));
    };
    const expected = await gguf('https://localhost/x.gguf', { fetch: respond });
    const file = await openGguf(bytesOf);
    expect(bytesOf.length).toBeGreaterThan(2 ** 20);
    const theirs = expected.metadata as unknown as Readonly<Record<string, unknown>>;
    for (const [key, value] of file.metadata)
      expect(JSON.stringify(value) === JSON.stringify(theirs[key]), key).toBe(true);
    expect([...file.tensors.values()].map(({ name, begin }) => [name, begin])).toEqual(
      expected.tensorInfos.map(({ name, offset }) => [name, Number(expected.tensorDataOffset + offset)]),
    );
  });

  it('types every damage', async () => {
    const good = writeGguf({ 'general.architecture': ['str', 'llama'] }, [floats('x', [64], new Float32Array(64))]);
    const of = async (file: Uint8Array) => openGguf(file).catch((error: unknown) => error);
    expect(await of(bytes(100))).toMatchObject({ code: 'invalid-gguf', details: { damage: 'not-gguf' } });
    expect(await of(new Uint8Array())).toMatchObject({ code: 'invalid-gguf', details: { damage: 'not-gguf' } });
    expect(await of(good.slice(0, good.length - 4))).toMatchObject({ details: { damage: 'truncated', tensor: 'x' } });
    const version = good.slice();
    version[4] = 9;
    expect(await of(version)).toMatchObject({ code: 'invalid-gguf', details: { damage: 'header' } });
    const twice = [floats('x', [1], [1]), floats('x', [1], [2])];
    expect(await of(writeGguf({}, twice))).toMatchObject({ details: { damage: 'duplicate-name' } });
    const ragged = { name: 'q', shape: [2, 33], dtype: 'Q8_0', bytes: bytes(70) } as const;
    expect(await of(writeGguf({}, [ragged]))).toMatchObject({ details: { damage: 'invalid-shape', tensor: 'q' } });
  });

  it('never throws an untyped error for a damaged file', async () => {
    const good = writeGguf({ 'general.architecture': ['str', 'llama'], list: ['str[]', ['a', 'b']] }, [
      floats('x', [4], [1, 2, 3, 4]),
      floats('y', [2, 2], [1, 2, 3, 4]),
    ]);
    const result = await fc.check(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { maxLength: 3 }),
        fc.nat(good.length),
        async (edits, length) => {
          const file = good.slice(0, length);
          for (const [at, value] of edits) if (at < length) file[at] = value;
          const error = await openGguf(file).then(
            () => undefined,
            (reason: unknown) => reason,
          );
          return error === undefined || (error instanceof CheckpointError && error.code === 'invalid-gguf');
        },
      ),
      { numRuns: 60 },
    );
    expect(result.failed, JSON.stringify(result.counterexample)).toBe(false);
  });
});
