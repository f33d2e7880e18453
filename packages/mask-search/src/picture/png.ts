// A block mask as a PNG heat map, compressed by the platform's CompressionStream (browsers and Node).
import type { BlockMask } from '../block-mask.ts';
import { maskDensity, type PictureOptions } from './density.ts';

/** Empty and full cells' colours; the palette runs between them. */
const EMPTY = [0xf5, 0xf7, 0xfa] as const;
const FULL = [0x0b, 0x3c, 0x5d] as const;
const SIGNATURE = [137, 80, 78, 71, 13, 10, 26, 10];

/**
 * An 8-bit palette image: `width` pixels across, as high as keeps the cells square.
 *
 * @throws HipError `invalid-mask`, `invalid-shape`
 * @example
 * ```ts
 * import { denseMask, maskToPng } from '@hip/mask-search';
 * const mask = denseMask({ batch: 1, queries: 4, keys: 64, heads: 1, kvHeads: 1, headDim: 1 }, true);
 * const png = await maskToPng(mask, { width: 64 });
 * console.log(png[1] === 'P'.charCodeAt(0)); // => true
 * ```
 */
export async function maskToPng(mask: BlockMask, options: PictureOptions = {}): Promise<Uint8Array<ArrayBuffer>> {
  const { width = 512 } = options;
  const density = maskDensity(mask, options);
  const [rows, columns] = [density.length, density[0]!.length];
  const height = Math.max(1, Math.round((width * rows) / columns));
  // Each line starts with its filter: 0, none.
  const pixels = new Uint8Array(height * (width + 1));
  for (let y = 0; y < height; y++) {
    const line = density[Math.floor((y * rows) / height)]!;
    for (let x = 0; x < width; x++)
      pixels[y * (width + 1) + 1 + x] = Math.round(line[Math.floor((x * columns) / width)]! * 255);
  }
  const palette = Uint8Array.from({ length: 256 * 3 }, (_, i) => {
    const [from, to] = [EMPTY[i % 3]!, FULL[i % 3]!];
    return Math.round(from + ((to - from) * Math.floor(i / 3)) / 255);
  });
  const header = new Uint8Array(13);
  new DataView(header.buffer).setUint32(0, width);
  new DataView(header.buffer).setUint32(4, height);
  // Depth 8, colour type 3 (palette), the only compression and filter method, no interlacing.
  header.set([8, 3, 0, 0, 0], 8);
  const parts = [
    Uint8Array.from(SIGNATURE),
    pngChunk('IHDR', header),
    pngChunk('PLTE', palette),
    pngChunk('IDAT', await zlib(pixels)),
    pngChunk('IEND', new Uint8Array()),
  ];
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}

async function zlib(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
  const stream = new Blob([bytes]).stream().pipeThrough(new CompressionStream('deflate'));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** Length, type, data, CRC-32 of type and data. */
function pngChunk(type: string, data: Uint8Array): Uint8Array<ArrayBuffer> {
  const chunk = new Uint8Array(12 + data.length);
  const view = new DataView(chunk.buffer);
  view.setUint32(0, data.length);
  for (let i = 0; i < 4; i++) chunk[4 + i] = type.charCodeAt(i);
  chunk.set(data, 8);
  view.setUint32(8 + data.length, crc32(chunk.subarray(4, 8 + data.length)));
  return chunk;
}

function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return (crc ^ 0xffffffff) >>> 0;
}
