// The command that goes on with an interrupted study, to be pasted into a POSIX shell.
import type { ArgsDef } from 'citty';

function quoted(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

/** `instatune resume` with the study and every option of `kept` that was given another value than its default. */
export function resumeHint(given: Readonly<Record<string, unknown>>, kept: ArgsDef): string {
  const words = ['instatune', 'resume'];
  for (const [name, definition] of Object.entries(kept)) {
    const value = given[name];
    if (value === undefined || (value === definition.default && name !== 'study')) continue;
    if (typeof value !== 'string') words.push(`--${name}`);
    else words.push(value.startsWith('-') ? `--${name}=${quoted(value)}` : `--${name} ${quoted(value)}`);
  }
  return words.join(' ');
}

/** Words as a line for a POSIX shell. */
export const shellCommand = (words: readonly string[]): string => words.map(quoted).join(' ');
