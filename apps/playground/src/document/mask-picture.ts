// The picture of a mask, kept outside the page's state: its lines are drawn once, as they come.
import { PIXEL } from './pixel.ts';
import type { LaneName, MaskRows } from './protocol.ts';

/** Lines of a picture, kept outside the page's state: they are drawn once. */
export class MaskPicture {
  readonly lane: LaneName;
  readonly size: number;
  readonly #pixels: Uint8ClampedArray<ArrayBuffer>;
  #draw: ((pixels: Uint8ClampedArray<ArrayBuffer>, size: number) => void) | undefined;
  /** Lines that are filled. */
  #filled = 0;
  /** Of what is drawn of each line, the sum of its shares, 0…255 each. */
  readonly #sums: Float64Array;

  constructor(lane: LaneName, tokens: number) {
    this.lane = lane;
    this.size = Math.max(1, Math.ceil(tokens / PIXEL));
    this.#pixels = new Uint8ClampedArray(4 * this.size * this.size);
    this.#sums = new Float64Array(this.size);
  }

  /** Share of the pairs of a query and a key before it that are read; 1 while all are. */
  get share(): number {
    const pairs = (this.#filled * (this.#filled + 1)) / 2;
    const read = this.#sums.subarray(0, this.#filled).reduce((sum, line) => sum + line, 0);
    return pairs === 0 ? 1 : read / (255 * pairs);
  }

  /** Lines of a mask. */
  add({ row, rows }: MaskRows, colour: readonly [number, number, number]): void {
    this.fill(row * PIXEL, colour);
    rows.forEach((line, i) => line.forEach((value, column) => this.#set(row + i, column, value, colour)));
    this.#filled = Math.max(this.#filled, Math.min(this.size, row + rows.length));
    this.#paint();
  }

  /** Every key before it, for the lines of so many tokens that are not filled. */
  fill(tokens: number, colour: readonly [number, number, number]): void {
    const to = Math.min(this.size, Math.floor(tokens / PIXEL));
    if (to <= this.#filled) return;
    for (; this.#filled < to; this.#filled++)
      for (let column = 0; column <= this.#filled; column++) this.#set(this.#filled, column, 255, colour);
    this.#paint();
  }

  attach(draw: (pixels: Uint8ClampedArray<ArrayBuffer>, size: number) => void): () => void {
    this.#draw = draw;
    this.#paint();
    return () => (this.#draw = undefined);
  }

  #set(row: number, column: number, value: number, [red, green, blue]: readonly [number, number, number]): void {
    if (row >= this.size || column >= this.size) return;
    const at = 4 * (row * this.size + column);
    // Keys after the queries' own block are none of the pairs.
    if (column <= row) this.#sums[row]! += value - this.#pixels[at + 3]!;
    this.#pixels.set([red, green, blue, value], at);
  }

  #paint(): void {
    this.#draw?.(this.#pixels, this.size);
  }
}
