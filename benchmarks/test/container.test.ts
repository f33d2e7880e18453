// Packs for a machine without network come back bit for bit: text, float16 weights of odd length, CIFAR records.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { afterAll, expect, it } from 'vitest';
import { pack, unpack } from '../device/container.ts';

const folder = mkdtempSync(join(tmpdir(), 'container-'));
afterAll(() => rmSync(folder, { recursive: true }));

it('unpacks what was packed, and images smaller than gzip makes them', () => {
  mkdirSync(join(folder, 'in/data'), { recursive: true });
  const records = new Uint8Array(20 * 3073);
  for (let i = 0; i < records.length; i++) {
    const [pixel, plane] = [(i % 3073) - 1, Math.floor(((i % 3073) - 1) / 1024)];
    const [x, y] = [pixel % 32, Math.floor((pixel % 1024) / 32)];
    records[i] = pixel < 0 ? (i / 3073) % 10 : 90 + 3 * x + 2 * y + 10 * plane + ((i * 7919) % 5);
  }
  const files: Record<string, Uint8Array> = {
    'data/notes.txt': new TextEncoder().encode('a text, and again a text'),
    'model.safetensors': Uint8Array.from({ length: 1001 }, (_, i) => (i * i) % 251),
    'data/images.bin.gz': gzipSync(records),
    'data/empty.txt': new Uint8Array(0),
  };
  for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, 'in', name), content);
  pack(join(folder, 'in'), Object.keys(files), join(folder, 'all.pack'));
  unpack(join(folder, 'all.pack'), join(folder, 'out'));
  const read = (name: string) => {
    const bytes = readFileSync(join(folder, name));
    return [...(name.endsWith('.gz') ? gunzipSync(bytes) : bytes)];
  };
  for (const name of Object.keys(files)) expect(read(`out/${name}`), name).toEqual(read(`in/${name}`));
  pack(join(folder, 'in'), ['data/images.bin.gz'], join(folder, 'images.pack'));
  expect(statSync(join(folder, 'images.pack')).size).toBeLessThan(gzipSync(records, { level: 9 }).length);
});
