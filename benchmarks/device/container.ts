// Weights and data small enough to carry to a machine without network: float16 planes apart, images by prediction, brotli.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { brotliCompressSync, brotliDecompressSync, constants, gunzipSync, gzipSync } from 'node:zlib';

type Coding = 'text' | 'float16' | 'cifar';

interface Entry {
  readonly path: string;
  readonly coding: Coding;
  /** Bytes stored as they are before the compressed part. */
  readonly plain: number;
  readonly compressed: number;
}

const RECORD = 3073;
const SIDE = 32;

/** Packs files of a folder; the coding follows from the name. */
export function pack(root: string, paths: readonly string[], target: string): void {
  const entries: Entry[] = [];
  const parts: Uint8Array[] = [];
  for (const path of paths) {
    const coding = path.endsWith('.safetensors') ? 'float16' : path.endsWith('.bin.gz') ? 'cifar' : 'text';
    const { plain, rest } = encode(coding, readFileSync(join(root, path)));
    const compressed = brotliCompressSync(rest, {
      params: { [constants.BROTLI_PARAM_QUALITY]: 9, [constants.BROTLI_PARAM_LGWIN]: 24 },
    });
    entries.push({ path, coding, plain: plain.length, compressed: compressed.length });
    parts.push(plain, compressed);
  }
  const header = Buffer.from(JSON.stringify(entries));
  const length = Buffer.alloc(4);
  length.writeUInt32LE(header.length);
  mkdirSync(dirname(target), { recursive: true });
  writeFileSync(target, Buffer.concat([length, header, ...parts]));
}

/** Writes a pack's files below a folder. */
export function unpack(source: string, root: string): void {
  const bytes = readFileSync(source);
  let at = 4 + bytes.readUInt32LE(0);
  for (const { path, coding, plain, compressed } of JSON.parse(bytes.subarray(4, at).toString()) as Entry[]) {
    const rest = brotliDecompressSync(bytes.subarray(at + plain, at + plain + compressed));
    const content = decode(coding, bytes.subarray(at, at + plain), rest);
    at += plain + compressed;
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), content);
  }
}

function encode(coding: Coding, content: Buffer): { plain: Uint8Array; rest: Uint8Array } {
  if (coding === 'text') return { plain: new Uint8Array(0), rest: content };
  if (coding === 'cifar') return { plain: new Uint8Array(0), rest: predict(gunzipSync(content), 1) };
  // The low bytes of trained float16 weights are noise, the high ones (sign, exponent) are not.
  const [low, high] = [new Uint8Array(content.length >> 1), new Uint8Array(content.length - (content.length >> 1))];
  for (let i = 0; i < content.length; i++) (i % 2 === 0 ? high : low)[i >> 1] = content[content.length - 1 - i]!;
  return { plain: low, rest: high };
}

function decode(coding: Coding, plain: Uint8Array, rest: Uint8Array): Uint8Array {
  if (coding === 'text') return rest;
  if (coding === 'cifar') return gzipSync(predict(rest, -1), { level: 1 });
  const content = new Uint8Array(plain.length + rest.length);
  for (let i = 0; i < content.length; i++) content[content.length - 1 - i] = (i % 2 === 0 ? rest : plain)[i >> 1]!;
  return content;
}

/** CIFAR records as differences from the median edge predictor, red and blue from green first (1), and back (−1). */
function predict(records: Uint8Array, direction: 1 | -1): Uint8Array {
  const out = new Uint8Array(records.length);
  const count = records.length / RECORD;
  const plane = SIDE * SIDE;
  for (let n = 0; n < count; n++) {
    const start = n * RECORD;
    out[start] = records[start]!;
    const pixels = direction === 1 ? records : out;
    // Green before the planes that are taken from it.
    for (const c of [1, 0, 2]) {
      const value = (y: number, x: number): number => {
        const at = y * SIDE + x;
        const own = pixels[start + 1 + c * plane + at]!;
        return c === 1 ? own : own - pixels[start + 1 + plane + at]!;
      };
      for (let y = 0; y < SIDE; y++) {
        for (let x = 0; x < SIDE; x++) {
          const left = x > 0 ? value(y, x - 1) : 0;
          const up = y > 0 ? value(y - 1, x) : 0;
          const guess = x === 0 ? up : y === 0 ? left : median(left, up, left + up - value(y - 1, x - 1));
          const at = start + 1 + c * plane + y * SIDE + x;
          const green = c === 1 ? 0 : pixels[start + 1 + plane + y * SIDE + x]!;
          out[at] = direction === 1 ? records[at]! - green - guess : records[at]! + guess + green;
        }
      }
    }
  }
  return out;
}

function median(a: number, b: number, c: number): number {
  return Math.max(Math.min(a, b), Math.min(Math.max(a, b), c));
}
