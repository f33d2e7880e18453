// `<tool_call>{…}</tool_call>`, of Qwen, Hermes, SmolLM2 and 3: anywhere in an answer, one or several, or a list in one.
import { StopStrings } from '../generation/stop-strings.ts';
import { parseCalls } from './parse.ts';
import type { ToolPiece, ToolReader } from './types.ts';

export const OPEN = '<tool_call>';
export const CLOSE = '</tool_call>';

export class TaggedReader implements ToolReader {
  /** Holds back what may become a tag. */
  #outside = new StopStrings([OPEN]);
  /** Inside a call, what was written of it. */
  #inside: string | undefined;
  /** Space that is given only if text follows. */
  #space = '';

  push(text: string): ToolPiece[] {
    const pieces: ToolPiece[] = [];
    let rest = text;
    while (rest !== '') {
      if (this.#inside === undefined) rest = this.#readText(rest, pieces);
      else rest = this.#readCall(this.#inside + rest, pieces);
    }
    return pieces;
  }

  end(): ToolPiece[] {
    const pieces: ToolPiece[] = [];
    if (this.#inside === undefined) this.#give(this.#outside.end(), pieces);
    // The end of an answer closes a call that is whole.
    else this.#close(this.#inside, pieces, '');
    return pieces;
  }

  /** @returns what is behind a tag */
  #readText(text: string, pieces: ToolPiece[]): string {
    // Letter by letter, what follows the tag is not lost; StopStrings drops it.
    for (let at = 0; at < text.length; at++) {
      const { text: passed, stopped } = this.#outside.push(text[at] as string);
      this.#give(passed, pieces);
      if (!stopped) continue;
      this.#outside = new StopStrings([OPEN]);
      this.#inside = '';
      return text.slice(at + 1);
    }
    return '';
  }

  #readCall(text: string, pieces: ToolPiece[]): string {
    const at = text.indexOf(CLOSE);
    if (at < 0) {
      this.#inside = text;
      return '';
    }
    this.#close(text.slice(0, at), pieces, CLOSE);
    this.#inside = undefined;
    return text.slice(at + CLOSE.length);
  }

  /** What is no call after all is text, tags and all. */
  #close(inside: string, pieces: ToolPiece[], close: string): void {
    const calls = parseCalls(inside.trim());
    if (!calls) {
      this.#give(`${OPEN}${inside}${close}`, pieces);
      return;
    }
    // Space around calls is theirs.
    this.#space = '';
    for (const call of calls) pieces.push({ type: 'call', call });
  }

  #give(text: string, pieces: ToolPiece[]): void {
    const all = this.#space + text;
    const certain = all.trimEnd();
    this.#space = all.slice(certain.length);
    if (certain === '') return;
    const last = pieces.at(-1);
    if (last?.type === 'text') pieces[pieces.length - 1] = { type: 'text', text: last.text + certain };
    else pieces.push({ type: 'text', text: certain });
  }
}
