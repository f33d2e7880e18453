// Takes the TypeScript blocks out of a Markdown page and makes programs of them.
import { readFileSync } from 'node:fs';

export interface Example {
  /** Page and number of the block, for messages. */
  readonly name: string;
  readonly code: string;
}

/**
 * Every ```ts block of a page is a program of its own. A line `console.log(…); // => text` is checked: it must print that text.
 */
export function examplesOf(path: string, name: string): Example[] {
  const blocks = [...readFileSync(path, 'utf8').matchAll(/^```ts\n([\s\S]*?)^```/gm)];
  return blocks.map(([, code], i) => ({ name: `${name} ${i + 1}`, code: code! }));
}

/** The lines that the program must print, in order, among others. */
export function expectedLines(code: string): string[] {
  return [...code.matchAll(/^\s*console\.log\(.*\); \/\/ => (.*)$/gm)].map(([, text]) => text!);
}
