// Llama 3's calls: the whole answer is `{"name": …, "parameters": {…}}`, or stands behind <|python_tag|>, as JSON or as `name.call(key="value")`.
import { parseCalls, splitJson } from './parse.ts';
import type { ToolCall, ToolPiece, ToolReader } from './types.ts';

export const PYTHON_TAG = '<|python_tag|>';
const BUILTIN = /^([\w-]+)\.call\((.*)\)$/s;
const ARGUMENT = /\s*(\w+)\s*=\s*("(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?|true|false|null|True|False|None)\s*(?:,|$)/y;
const PYTHON: Readonly<Record<string, string>> = { True: 'true', False: 'false', None: 'null' };

export class Llama3Reader implements ToolReader {
  readonly #names: ReadonlySet<string>;
  /** What was written, as long as it may be calls. */
  #held: string | undefined = '';

  /** @param names - of the functions: JSON that calls none of them is an answer like any other */
  constructor(names: Iterable<string>) {
    this.#names = new Set(names);
  }

  push(text: string): ToolPiece[] {
    if (this.#held === undefined) return text === '' ? [] : [{ type: 'text', text }];
    this.#held += text;
    const start = this.#held.trimStart();
    const isOpen =
      start === '' || start.startsWith('{') || PYTHON_TAG.startsWith(start) || start.startsWith(PYTHON_TAG);
    if (isOpen) return [];
    const rest = this.#held;
    this.#held = undefined;
    return [{ type: 'text', text: rest }];
  }

  end(): ToolPiece[] {
    const held = this.#held ?? '';
    this.#held = undefined;
    if (held === '') return [];
    const calls = this.#calls(held.trim());
    return calls
      ? calls.map((call) => ({ type: 'call', call }))
      : [{ type: 'text', text: held.replace(PYTHON_TAG, '') }];
  }

  #calls(text: string): ToolCall[] | undefined {
    const body = text.startsWith(PYTHON_TAG) ? text.slice(PYTHON_TAG.length).trim() : text;
    const calls = splitJson(body)?.flatMap((part) => parseCalls(part) ?? [undefined]) ?? [builtinCall(body)];
    return calls.every((call) => call !== undefined && this.#names.has(call.name)) ? (calls as ToolCall[]) : undefined;
  }
}

function builtinCall(text: string): ToolCall | undefined {
  const [, name, inside = ''] = BUILTIN.exec(text) ?? [];
  if (name === undefined) return undefined;
  const args: Record<string, unknown> = {};
  for (let at = 0; at < inside.length;) {
    ARGUMENT.lastIndex = at;
    const [all, key, value] = ARGUMENT.exec(inside) ?? [];
    if (all === undefined || key === undefined || value === undefined) return undefined;
    try {
      args[key] = JSON.parse(PYTHON[value] ?? value);
    } catch {
      return undefined;
    }
    at += all.length;
  }
  return { name, arguments: JSON.stringify(args) };
}
