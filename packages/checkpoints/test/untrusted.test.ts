// Files that nobody vouches for: sizes that lie, nesting, bombs of metadata, folders and FIFOs in place of files. A typed error at once, or the model.
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { openCheckpoint } from '../src/checkpoint.ts';
import { CheckpointError } from '../src/errors.ts';
import { fileSource } from '../src/files/byte-source.ts';
import { folderFiles, memoryFiles } from '../src/files/files.ts';
import { openGguf } from '../src/gguf/open.ts';
import { weightSlots } from '../src/model/slots.ts';
import { quoted } from '../src/quote.ts';
import { DTYPE_BYTES } from '../src/safetensors/dtypes.ts';
import type { SafetensorsDtype } from '../src/safetensors/dtypes.ts';
import { openSafetensors, writeSafetensors } from '../src/safetensors/safetensors.ts';
import { readSlots } from '../src/weights/read-slots.ts';

const GRANITE = join(import.meta.dirname, 'fixtures/families/granite');
const encode = (value: unknown) => new TextEncoder().encode(typeof value === 'string' ? value : JSON.stringify(value));
const config = JSON.parse(readFileSync(join(GRANITE, 'config.json'), 'utf8')) as Record<string, unknown>;
const weights = new Uint8Array(readFileSync(join(GRANITE, 'model.safetensors')));
const withConfig = (json: unknown, bytes: Uint8Array = weights) =>
  memoryFiles(
    new Map([
      ['config.json', encode(json)],
      ['model.safetensors', bytes],
    ]),
  );
/** A safetensors file with a header of one's own. */
const withHeader = (header: string, data = new Uint8Array(0)) => {
  const text = encode(header);
  const out = new Uint8Array(8 + text.length + data.length);
  new DataView(out.buffer).setBigUint64(0, BigInt(text.length), true);
  out.set(text, 8);
  out.set(data, 8 + text.length);
  return out;
};
async function load(files: Parameters<typeof openCheckpoint>[0]) {
  await using checkpoint = await openCheckpoint(files);
  return readSlots(checkpoint, weightSlots(checkpoint.config));
}
const folder = mkdtempSync(join(tmpdir(), 'untrusted-'));
afterAll(() => rmSync(folder, { recursive: true }));

describe('safetensors headers', () => {
  it.each<[string, string]>([
    ['{"x":{"dtype":{"toString":1,"valueOf":1},"shape":[0],"data_offsets":[0,0]}}', 'unknown-dtype'],
    [
      `{"x":{"dtype":"F32","shape":${'['.repeat(20_000)}${']'.repeat(20_000)},"data_offsets":[0,0]}}`,
      'header-too-deep',
    ],
    [`{"x":${'{"a":'.repeat(500)}1${'}'.repeat(500)}}`, 'header-too-deep'],
    ['{"__metadata__":{"a":"1","a":"2"}}', 'duplicate-key'],
    ['{"__metadata__":{"a":"1","\\u0061":"2"}}', 'duplicate-key'],
    ['{"x":{"dtype":"F32","dtype":"F32","shape":[0],"data_offsets":[0,0]}}', 'duplicate-key'],
    ['{"__metadata__":{},"__metadata__":{}}', 'duplicate-name'],
    [`{"x":{"dtype":"${'F'.repeat(5000)}","shape":[],"data_offsets":[0,0]}}`, 'unknown-dtype'],
    [`{"${'x'.repeat(5000)}":{"dtype":"F32","shape":[${'1,'.repeat(5000)}-1],"data_offsets":[0,0]}}`, 'invalid-shape'],
    ['\uFEFF{}', 'header-not-object'],
  ])('%.60s…', async (header, damage) => {
    const error = await openSafetensors(withHeader(header)).then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    expect(error).toMatchObject({ name: 'CheckpointError', code: 'invalid-safetensors', details: { damage } });
    expect((error as Error).message.length).toBeLessThan(600);
  });

  it('of a hundred megabytes are read: one long string, and a million keys', async () => {
    const long = `{"__metadata__":{"a":"${'\\n'.repeat(10_000_000)}"}}`;
    expect((await openSafetensors(withHeader(long))).metadata['a']!.length).toBe(10_000_000);
    const many = `{"__metadata__":{${Array.from({ length: 200_000 }, (_, i) => `"key ${i}":"value"`).join(',')}}}`;
    expect(Object.keys((await openSafetensors(withHeader(many))).metadata)).toHaveLength(200_000);
  });

  it.each(Object.entries(DTYPE_BYTES) as [SafetensorsDtype, number][])(
    'list %s, which is read or refused when it is',
    async (dtype, bytes) => {
      const data = new Uint8Array(8 * bytes);
      const file = await openSafetensors(
        withHeader(`{"x":{"dtype":"${dtype}","shape":[2,4],"data_offsets":[0,${data.length}]}}`, data),
      );
      expect((await file.readRaw('x')).bytes).toEqual(data);
      const refused = (error: unknown) => ({
        shape: (error as CheckpointError).code === 'unsupported-dtype' && [2, 4],
      });
      expect(await file.read('x').catch(refused)).toMatchObject({ shape: [2, 4] });
    },
  );

  it('refuse half a byte', async () => {
    const bytes = withHeader('{"x":{"dtype":"F4","shape":[3],"data_offsets":[0,2]}}', new Uint8Array(2));
    await expect(openSafetensors(bytes)).rejects.toMatchObject({ details: { damage: 'size-mismatch' } });
  });
});

describe('config.json', () => {
  it.each<[string, Record<string, unknown>]>([
    ['more layers than tensors', { num_hidden_layers: 100_000 }],
    ['layers beyond all memory', { num_hidden_layers: 1e15 }],
    ['a head beyond all memory', { head_dim: 4e9 }],
    ['a vocabulary beyond the files', { vocab_size: 2 ** 30 }],
    ['a hidden size beyond the files', { hidden_size: 2 ** 30, head_dim: 8 }],
    ['a count beyond int32', { intermediate_size: 1e18 }],
    ['no ε', { rms_norm_eps: 0 }],
    ['a negative ε', { rms_norm_eps: -1e-5 }],
    ['a large ε', { rms_norm_eps: 1e30 }],
    ['a negative θ', { rope_theta: -1, rope_parameters: null }],
    ['no θ', { rope_theta: 0, rope_parameters: null }],
    ['a θ beyond reason', { rope_theta: 1e300, rope_parameters: null }],
    ['positions beyond int32', { max_position_embeddings: 1e12 }],
    ['a scale that divides by 0', { logits_scaling: 0 }],
    ['a stretch by 0', { rope_scaling: { rope_type: 'linear', factor: 0 } }],
    ['a stretch by −1', { rope_scaling: { rope_type: 'dynamic', factor: -1 } }],
  ])('%s', async (_, change) => {
    await expect(load(withConfig({ ...config, ...change }))).rejects.toMatchObject({
      code: expect.stringMatching(/^(invalid-config|invalid-shape|missing-weight)$/) as string,
    });
  });

  it('that lies beside an empty file is refused before anything is made of it', async () => {
    const huge = { ...config, num_hidden_layers: 100_000 };
    await expect(load(withConfig(huge, writeSafetensors([])))).rejects.toMatchObject({ code: 'invalid-config' });
  });

  it.each(['config.json', 'tokenizer.json', 'generation_config.json', 'model.safetensors.index.json'])(
    '%s may begin with a byte order mark, and is not nested without end',
    async (name) => {
      const deep = `{"a":${'['.repeat(50_000)}${']'.repeat(50_000)}}`;
      const at = (text: string) =>
        memoryFiles(
          new Map([
            ['config.json', encode(config)],
            ['model.safetensors', weights],
            [name, encode(text)],
          ]),
        );
      const all = async () => {
        await using checkpoint = await openCheckpoint(at(deep));
        await checkpoint.tokenizer();
        await checkpoint.generation();
      };
      await expect(all()).rejects.toMatchObject({ code: 'invalid-config' });
      mkdirSync(join(folder, name), { recursive: true });
      writeFileSync(join(folder, name, name), `\uFEFF{"a":1}`);
      expect(await folderFiles(join(folder, name)).text(name)).toBe('{"a":1}');
    },
  );

  it('is read with a byte order mark in front', async () => {
    expect((await load(withConfig(`\uFEFF${JSON.stringify(config)}`))).size).toBeGreaterThan(0);
  });

  it('any changed value: the weights, or a typed error', async () => {
    const values = fc.oneof(fc.jsonValue(), fc.constantFrom(-1, 0, 1e9, 2 ** 31, 1e300, 0.5, '', 'x'.repeat(3000)));
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...Object.keys(config)), values, async (key, value) => {
        const error = await load(withConfig({ ...config, [key]: value })).catch((thrown: unknown) => thrown);
        expect(error instanceof Map || (error instanceof CheckpointError && error.message.length < 800)).toBe(true);
      }),
      { numRuns: 150 },
    );
  });
});

describe('GGUF headers', () => {
  const header = (...parts: (number | bigint | string)[]) => {
    const out = new Uint8Array(4096);
    const view = new DataView(out.buffer);
    let at = 0;
    for (const part of parts) {
      if (typeof part === 'bigint') at += (view.setBigUint64(at, part, true), 8);
      else if (typeof part === 'number') at += (view.setUint32(at, part, true), 4);
      else at += (out.set(encode(part), at), part.length);
    }
    return out;
  };
  it.each<[string, Uint8Array]>([
    ['2⁶⁰ tensors', header('GGUF', 3, 2n ** 60n, 0n)],
    ['2⁶⁰ values', header('GGUF', 3, 0n, 2n ** 60n)],
    ['a key of 2⁶² bytes', header('GGUF', 3, 0n, 1n, 2n ** 62n)],
    ['an array of 2⁶¹ numbers', header('GGUF', 3, 0n, 1n, 1n, 'k', 9, 0, 2n ** 61n)],
    ['an array of a billion strings', header('GGUF', 3, 0n, 1n, 1n, 'k', 9, 8, 10n ** 9n)],
    ['a tensor of 2⁶³ rows', header('GGUF', 3, 1n, 0n, 1n, 't', 1, 2n ** 63n, 0, 0n)],
    ['a tensor beyond the end', header('GGUF', 3, 1n, 0n, 1n, 't', 1, 4n, 16, 2n ** 50n)],
    ['two tensors in one place', header('GGUF', 3, 2n, 0n, 1n, 't', 1, 4n, 0, 0n, 1n, 'u', 1, 4n, 0, 8n)],
  ])('%s', async (_, bytes) => {
    let read = 0;
    const source = {
      name: 'lying.gguf',
      size: 2 ** 33,
      read: async (offset: number, length: number) => {
        read += length;
        const out = new Uint8Array(length);
        if (offset < bytes.length) out.set(bytes.subarray(offset, offset + length));
        return out;
      },
      close: async () => {},
    };
    await expect(openGguf(bytes)).rejects.toMatchObject({ code: 'invalid-gguf' });
    // The same in a file that is large: what it tells of is not fetched.
    const opened = await openGguf(source).catch((error: unknown) => error as CheckpointError);
    expect('code' in opened ? opened.code : 'invalid-gguf').toBe('invalid-gguf');
    expect(read).toBeLessThan(2 ** 31);
  });
});

describe.skipIf(process.platform === 'win32')('what is no file', () => {
  const open = () => (process.platform === 'linux' ? readdirSync('/proc/self/fd').length : 0);
  it('a folder and a FIFO are refused, no descriptor stays open', async () => {
    const place = join(folder, 'odd');
    mkdirSync(join(place, 'model.safetensors'), { recursive: true });
    writeFileSync(join(place, 'config.json'), JSON.stringify(config));
    const before = open();
    await expect(load(place)).rejects.toMatchObject({ code: 'file-access' });
    rmSync(join(place, 'model.safetensors'), { recursive: true });
    execFileSync('mkfifo', [join(place, 'model.safetensors'), join(place, 'fifo')]);
    await expect(load(place)).rejects.toMatchObject({ code: 'file-access' });
    await expect(fileSource(join(place, 'fifo'))).rejects.toMatchObject({ code: 'file-access' });
    rmSync(join(place, 'model.safetensors'));
    for (const bytes of [new Uint8Array(3), withHeader('{'), withHeader('{"a":1}'), weights.subarray(0, -1)]) {
      writeFileSync(join(place, 'model.safetensors'), bytes);
      await expect(load(place)).rejects.toMatchObject({ code: 'invalid-safetensors' });
    }
    writeFileSync(join(place, 'model.safetensors'), weights);
    writeFileSync(join(place, 'config.json'), JSON.stringify({ ...config, num_hidden_layers: 1e6 }));
    await expect(load(place)).rejects.toMatchObject({ code: 'invalid-config' });
    writeFileSync(join(place, 'x.gguf'), header());
    await expect(load(join(place, 'x.gguf'))).rejects.toMatchObject({ code: 'invalid-gguf' });
    expect(open()).toBe(before);
  });
  const header = () => encode('GGUF but no more');
});

it('messages quote at most 200 characters of any value', () => {
  fc.assert(
    fc.property(fc.anything({ withBigInt: true }), (value) => {
      expect(quoted(value).length).toBeLessThanOrEqual(200);
    }),
  );
});
