// Random cut-outs of an image, stretched to its whole size.
import { SeededRandom } from '../random.ts';

/** What each pixel along one side reads: two source pixels and the share of the second. */
interface Taps {
  readonly first: Int32Array;
  readonly second: Int32Array;
  readonly share: Float32Array;
}

/** A rectangle stretched to the whole image. */
interface Crop {
  readonly rows: Taps;
  readonly columns: Taps;
}

/** A rectangle of `leastArea`…1 of the area; a side that would be longer than the image's is cut to it. */
export function randomCrop(
  height: number,
  width: number,
  leastArea: number,
  mirror: boolean,
  random: SeededRandom,
): Crop {
  const area = leastArea + (1 - leastArea) * random.next();
  const ratio = (4 / 3) ** (2 * random.next() - 1);
  const side = (share: number, extent: number, isMirrored: boolean): Taps => {
    const length = Math.min(1, Math.sqrt(share)) * extent;
    return taps(random.next() * (extent - length), length, extent, isMirrored);
  };
  return { rows: side(area / ratio, height, false), columns: side(area * ratio, width, mirror) };
}

/** Bilinear taps of `length` pixels from `start`, stretched to `extent`; pixel centres at halves, edges repeated. */
function taps(start: number, length: number, extent: number, isMirrored: boolean): Taps {
  const [first, second] = [new Int32Array(extent), new Int32Array(extent)];
  const share = new Float32Array(extent);
  for (let i = 0; i < extent; i++) {
    const centre = ((isMirrored ? extent - 1 - i : i) + 0.5) * (length / extent);
    const at = Math.min(extent - 1, Math.max(0, start + centre - 0.5));
    first[i] = Math.floor(at);
    second[i] = Math.min(extent - 1, Math.floor(at) + 1);
    share[i] = at - Math.floor(at);
  }
  return { first, second, share };
}

/** A channel plane of bytes through a table, cropped and stretched into `out` of the same size. */
export function stretch(plane: Uint8Array, table: Float32Array, { rows, columns }: Crop, out: Float32Array): void {
  const width = columns.first.length;
  for (let y = 0; y < rows.first.length; y++) {
    const [upper, lower] = [(rows.first[y] as number) * width, (rows.second[y] as number) * width];
    const down = rows.share[y] as number;
    for (let x = 0; x < width; x++) {
      const [left, right] = [columns.first[x] as number, columns.second[x] as number];
      const across = columns.share[x] as number;
      const value = (base: number) =>
        (1 - across) * (table[plane[base + left] as number] as number) +
        across * (table[plane[base + right] as number] as number);
      out[y * width + x] = (1 - down) * value(upper) + down * value(lower);
    }
  }
}
