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

  constructor(lane: LaneName, tokens: number) {
    this.lane = lane;
    this.size = Math.max(1, Math.ceil(tokens / PIXEL));
    this.#pixels = new Uint8ClampedArray(4 * this.size * this.size);
  }

  /** Share of the pairs of a query and a key before it that are read; 1 while all are. */
  get share(): number {
    let [read, all] = [0, 0];
    for (let row = 0; row < this.#filled; row++) {
      for (let column = 0; column <= row; column++) {
        read += this.#pixels[4 * (row * this.size + column) + 3]!;
        all += 255;
      }
    }
    return all === 0 ? 1 : read / all;
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
    this.#pixels.set([red, green, blue, value], 4 * (row * this.size + column));
  }

  #paint(): void {
    this.#draw?.(this.#pixels, this.size);
  }
}
