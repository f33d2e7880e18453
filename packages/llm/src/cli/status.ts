// What the command says beside the answer, on standard error: how far it is, and what an answer took.
import type { Usage } from '../chat/types.ts';

/** Milliseconds between two lines where there is no terminal to draw on, and the share of all that lies between them. */
const LINE_EVERY = 2000;
const LINE_SHARE = 0.05;
/** … and where there is. */
const DRAW_EVERY = 100;

/** A line that is redrawn on a terminal; elsewhere one every few seconds. */
export class Status {
  readonly #stream: NodeJS.WriteStream;
  #drawnAt = -Infinity;
  #isDrawn = false;
  /** What was drawn last, and its share of all. */
  #last = { what: '', share: 0 };

  constructor(stream: NodeJS.WriteStream) {
    this.#stream = stream;
  }

  /** Something begins that may be over soon: its progress is drawn once it has lasted a while. */
  begin(): void {
    this.#drawnAt = performance.now();
  }

  /** How far something is. */
  progress(what: string, done: number, total: number, unit: string): void {
    const now = performance.now();
    const isTerminal = this.#stream.isTTY;
    if (now - this.#drawnAt < (isTerminal ? DRAW_EVERY : LINE_EVERY)) return;
    const share = done / Math.max(1, total);
    const isNear = this.#last.what === what && share >= this.#last.share && share - this.#last.share < LINE_SHARE;
    if (isNear && !isTerminal) return;
    this.#drawnAt = now;
    this.#last = { what, share };
    const line = `${what}: ${count(done)} of ${count(total)} ${unit} (${Math.floor(100 * share)} %)`;
    this.#stream.write(isTerminal ? `\r\u001B[K${line}` : `${line}\n`);
    this.#isDrawn = isTerminal;
  }

  /** Something that is done, in place of its progress. */
  line(text: string): void {
    this.clear();
    this.#stream.write(`${text}\n`);
    this.#drawnAt = -Infinity;
  }

  /** Takes the progress away. */
  clear(): void {
    if (this.#isDrawn) this.#stream.write('\r\u001B[K');
    this.#isDrawn = false;
  }
}

/** `12 tokens, 34.5 tokens/s; 1,234 tokens read in 5.6 s, 1,200 of them from the cache` */
export function usageLine({
  promptTokens,
  cachedTokens,
  generatedTokens,
  promptMs,
  generateMs,
  finishReason,
}: Usage): string {
  const read = promptTokens - cachedTokens;
  const rate = generateMs > 0 ? (1000 * generatedTokens) / generateMs : 0;
  const why = { length: ', cut at --max-tokens', context: ', the context is full', aborted: ', stopped' } as Readonly<
    Record<string, string>
  >;
  const cached = cachedTokens > 0 ? `, ${count(cachedTokens)} were in the cache` : '';
  return `[${count(generatedTokens)} tokens, ${rate.toFixed(1)} tokens/s${why[finishReason] ?? ''}; ${count(read)} tokens read in ${(promptMs / 1000).toFixed(1)} s${cached}]`;
}

export function count(value: number): string {
  return Math.floor(value).toLocaleString('en-US');
}
