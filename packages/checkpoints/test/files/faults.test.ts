// Servers as they are: pages for missing files, no ranges, cuts, changed versions, bombs, silence. Loaded as if nothing were, or a typed error.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { openCheckpoint } from '../../src/checkpoint.ts';
import type { OpenOptions } from '../../src/checkpoint.ts';
import { CheckpointError } from '../../src/errors.ts';
import type { CheckpointFiles } from '../../src/files/files.ts';
import { httpFiles, optionalText } from '../../src/files/files.ts';
import { httpSource } from '../../src/files/http-source.ts';
import { hubFiles } from '../../src/files/hub.ts';
import { weightSlots } from '../../src/model/slots.ts';
import { openSafetensors, writeSafetensors } from '../../src/safetensors/safetensors.ts';
import { readSlots } from '../../src/weights/read-slots.ts';
import { serveFiles } from '../helpers/file-server.ts';
import type { Asked } from '../helpers/file-server.ts';

const GRANITE = join(import.meta.dirname, '../fixtures/families/granite');
const files = new Map(
  ['config.json', 'model.safetensors'].map((name) => [name, new Uint8Array(readFileSync(join(GRANITE, name)))]),
);
const FAST: OpenOptions = { retryDelayMs: 1, idleTimeoutMs: 2000 };

async function load(location: string | CheckpointFiles, options: OpenOptions = FAST) {
  await using checkpoint = await openCheckpoint(location, options);
  const values = await readSlots(checkpoint, weightSlots(checkpoint.config), options);
  await checkpoint.tokenizer();
  await checkpoint.chatTemplate();
  await checkpoint.generation();
  return values;
}
const places = {
  http: (address: string) => address,
  Hub: (address: string) => hubFiles('team/model', { ...FAST, hubUrl: address }),
};
const right = await load(GRANITE);

/** Faults that a load gets over. */
const survived: Record<string, (asked: Asked) => boolean | void> = {
  'a page for every missing file': ({ bytes, response }) =>
    bytes ? false : (response.writeHead(200, { 'content-type': 'text/html' }).end('<!doctype html><p>app'), true),
  'one 503': ({ number, response }) => number === 4 && (response.writeHead(503).end(), true),
  'two 429 that ask to wait': ({ number, response }) =>
    (number === 3 || number === 4) && (response.writeHead(429, { 'retry-after': '0' }).end(), true),
  'a connection cut before the answer': ({ number, response }) => number === 4 && (response.destroy(), true),
  'a connection cut in the body': ({ number, range, bytes, response }) => {
    if (number % 3 !== 0 || !range || !bytes) return false;
    const part = bytes.subarray(range[0], range[1]);
    const place = `bytes ${range[0]}-${range[0] + part.length - 1}/${bytes.length}`;
    response.writeHead(206, { etag: '"1"', 'content-range': place, 'content-length': part.length });
    response.write(part.subarray(0, part.length / 2));
    setTimeout(() => response.destroy(), 20);
    return true;
  },
  'no ranges': ({ bytes, response }) => (bytes ? (response.writeHead(200, { etag: '"1"' }).end(bytes), true) : false),
  'ranges shorter than asked for': ({ bytes, range, response }) => {
    if (!bytes || !range || range[1] - range[0] < 9000) return false;
    const part = bytes.subarray(range[0], range[0] + 9000);
    const place = `bytes ${range[0]}-${range[0] + part.length - 1}/${bytes.length}`;
    response.writeHead(206, { etag: '"1"', 'content-range': place }).end(part);
    return true;
  },
};

describe.each(Object.entries(places))('over %s', (_, at) => {
  it.each(Object.entries(survived))('loads through %s', async (_name, spoil) => {
    await using server = await serveFiles(files, spoil);
    expect(await load(at(server.address))).toEqual(right);
  });

  it('asks a few times, however many tensors there are', async () => {
    const tensors = Array.from({ length: 500 }, (_, i) => ({
      name: `t${i}`,
      shape: [2],
      data: new Float32Array(2).fill(i),
    }));
    await using server = await serveFiles(new Map([['model.safetensors', writeSafetensors(tensors)]]));
    const place = at(server.address);
    const source = await (typeof place === 'string' ? httpFiles(place) : place).open('model.safetensors');
    const file = await openSafetensors(source!);
    const read = await Promise.all(tensors.map(({ name }) => file.read(name)));
    expect(read.map(({ data }) => data[0])).toEqual(tensors.map((_tensor, i) => i));
    expect(server.asked.length).toBeLessThan(4);
  });

  it.each<[string, (asked: Asked) => boolean | void]>([
    ['another ETag', ({ answer, range }) => range?.[0] !== 0 && (answer(undefined, { etag: '"2"' }), true)],
    ['another length', ({ answer, bytes, range }) => range?.[0] !== 0 && (answer(bytes!.subarray(1)), true)],
    [
      'other bytes than announced',
      ({ bytes, range, response }) => {
        if (!range || range[0] === 0) return false;
        response.writeHead(206, { etag: '"1"', 'content-range': `bytes 0-9/${bytes!.length}` });
        response.end(bytes!.subarray(range[0], range[1]));
        return true;
      },
    ],
  ])('one version of a file or an error: %s', async (_name, spoil) => {
    const data = new Float32Array(3 * 2 ** 20);
    const bytes = writeSafetensors([{ name: 'x', shape: [data.length], data }]);
    await using server = await serveFiles(new Map([['model.safetensors', bytes]]), spoil);
    const place = at(server.address);
    const open = async () => {
      const source = await (typeof place === 'string' ? httpFiles(place, FAST) : place).open('model.safetensors');
      return (await (await openSafetensors(source!)).read('x')).data.length;
    };
    await expect(open()).rejects.toMatchObject({ code: 'network' });
  });
});

it('takes any pattern of cuts in any part: the bytes, or a typed error', async () => {
  const bytes = new Uint8Array(20 * 2 ** 20).map((_, i) => i * 7 + (i >> 11));
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.option(fc.double({ min: 0, max: 0.99, noNaN: true }), { freq: 2 }), { maxLength: 8 }),
      async (cuts) => {
        await using server = await serveFiles(new Map([['x', bytes]]), ({ number, range, response }) => {
          const share = cuts[number - 1];
          if (share === null || share === undefined || !range) return false;
          const part = bytes.subarray(range[0], range[1]);
          const place = `bytes ${range[0]}-${range[0] + part.length - 1}/${bytes.length}`;
          response.writeHead(206, { etag: '"1"', 'content-range': place, 'content-length': part.length });
          response.write(part.subarray(0, Math.floor(part.length * share)), () => response.destroy());
          return true;
        });
        const read = async () => {
          const source = await httpSource(`${server.address}/x`, FAST);
          const part = await source.read(5, bytes.length - 9);
          return Buffer.compare(part, bytes.subarray(5, bytes.length - 4)) === 0;
        };
        const outcome = await read().catch(
          (error: unknown) => error instanceof CheckpointError && error.code === 'network',
        );
        expect(outcome).toBe(true);
      },
    ),
    { numRuns: 6 },
  );
});

describe('small files', () => {
  it.each([403, 404, 410, 416])('that answer %i may be done without', async (status) => {
    await using server = await serveFiles(
      files,
      ({ bytes, response }) => !bytes && (response.writeHead(status).end(), true),
    );
    expect(await load(server.address)).toEqual(right);
    await expect(load(`${server.address}/none`)).rejects.toBeInstanceOf(CheckpointError);
  });

  it('are of a limited size, packed or not', async () => {
    const bomb = gzipSync(new Uint8Array(2 ** 25));
    await using server = await serveFiles(new Map([['config.json', bomb]]), ({ answer }) => {
      answer(undefined, { 'content-encoding': 'gzip' });
      return true;
    });
    const options = { ...FAST, maxTextBytes: 2 ** 20 };
    await expect(load(server.address, options)).rejects.toMatchObject({ code: 'network', details: { most: 2 ** 20 } });
    const hub = hubFiles('team/model', { ...options, hubUrl: server.address });
    await expect(hub.text('config.json')).rejects.toMatchObject({ code: 'network' });
  });

  it('are not waited for for ever', async () => {
    const silent = { ...FAST, idleTimeoutMs: 50 };
    await using server = await serveFiles(files, ({ name, response }) => {
      if (name !== 'config.json') response.writeHead(200, { 'content-length': 9 }).write('{');
      return true;
    });
    await expect(load(server.address, silent)).rejects.toMatchObject({
      code: 'network',
      details: { idleTimeoutMs: 50 },
    });
    await expect(optionalText(httpFiles(server.address, silent), 'x.json')).rejects.toMatchObject({ code: 'network' });
  });

  it('that are a page are not there', async () => {
    await using server = await serveFiles(
      new Map(),
      ({ response }) => (
        response.writeHead(200, { 'content-type': 'text/html' }).end('<!DOCTYPE html><title>x</title>'),
        true
      ),
    );
    await expect(load(server.address)).rejects.toMatchObject({ code: 'file-not-found' });
  });
});

it('an abort ends a wait, a body and a pause between two tries', async () => {
  for (const spoil of [
    () => true,
    ({ response }: Asked) => (response.writeHead(200, { 'content-length': 99 }).write('{'), true),
    ({ response }: Asked) => (response.writeHead(503).end(), true),
  ]) {
    await using server = await serveFiles(files, spoil);
    const controller = new AbortController();
    setTimeout(() => controller.abort(new Error('enough')), 50);
    const options = { signal: controller.signal, retryDelayMs: 60_000 };
    await expect(load(server.address, options)).rejects.toMatchObject({ code: 'aborted' });
  }
});
