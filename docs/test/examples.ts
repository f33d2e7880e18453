// Takes the TypeScript blocks out of a Markdown page and makes programs of them.
import { readFileSync } from 'node:fs';

export interface Example {
  /** Page and number of the block, for messages. */
  readonly name: string;
  readonly code: string;
}

/**
 * Every ```ts block of a page is a program of its own; one opened with ```ts continued goes on with the block before it. A line
 * `console.log(…); // => text` is checked: it must print that text.
 */
export function examplesOf(path: string, name: string): Example[] {
  const examples: { name: string; code: string }[] = [];
  for (const [, continued, code] of readFileSync(path, 'utf8').matchAll(/^```ts( continued)?\n([\s\S]*?)^```/gm)) {
    const last = examples.at(-1);
    if (continued && last) last.code += code;
    else examples.push({ name: `${name} ${examples.length + 1}`, code: code! });
  }
  return examples;
}

/** The lines that the program must print, in order, among others. */
export function expectedLines(code: string): string[] {
  return [...code.matchAll(/^\s*console\.log\(.*\); \/\/ => (.*)$/gm)].map(([, text]) => text!);
}
