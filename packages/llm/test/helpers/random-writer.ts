// The worst writer that there is: any token that a grammar allows, each as likely as the others.
import { seededRandom } from '@hip/checkpoints/generation';
import type { Grammar } from '../../src/constrain/grammar.ts';
import { treeOf } from '../../src/constrain/token-tree.ts';

/** Tokens of a small vocabulary: all bytes, and pieces of JSON and of words. */
export const TOKENS: readonly string[] = [
  ...Array.from({ length: 256 }, (_, byte) => String.fromCharCode(byte)),
  ...'{"|":|": "|",|", "|"}|":[|[|]]|},{|true|false|null| null|12|-1|.5|e1|00|\n  |  |\\u|\\"'.split('|'),
  ...'name|a"|city|or|an|ab|abc|2024-|\u00e2\u0082\u00ac|\u00c3\u00a9'.split('|'),
  '',
];
export const STOP = TOKENS.length - 1;
export const TREE = treeOf(TOKENS);

/** @returns the text, as bytes of Latin-1, and whether it ended by itself */
export function writeRandomly(grammar: Grammar, maxTokens: number, seed: number): { text: string; isEnded: boolean } {
  const random = seededRandom(seed);
  const matcher = grammar.matcher();
  let bytes = '';
  for (let remaining = maxTokens; remaining > 0; remaining--) {
    if (matcher.isDone) return { text: decoded(bytes), isEnded: true };
    const logits = new Float32Array(TOKENS.length);
    matcher.mask(logits, remaining, new Set([STOP]));
    const allowed = [...logits.keys()].filter((id) => logits[id] === 0);
    // The beginnings of long ways are many, and their ends few.
    const id = allowed[Math.floor(random() * allowed.length)] as number;
    if (id === STOP) return { text: decoded(bytes), isEnded: true };
    const token = TOKENS[id] as string;
    if (!matcher.accept(Array.from(token, (letter) => letter.charCodeAt(0))))
      throw new Error(`${JSON.stringify(token)} was allowed`);
    bytes += token;
  }
  return { text: decoded(bytes), isEnded: matcher.isEnd };
}

/** @throws where the bytes are no UTF-8 */
function decoded(bytes: string): string {
  return new TextDecoder('utf-8', { fatal: true }).decode(Uint8Array.from(bytes, (letter) => letter.charCodeAt(0)));
}
