// Calls as JSON: `{"name": …, "arguments": {…}}`, or `parameters` in their place.
import type { ToolCall } from './types.ts';

/** The calls of a JSON text: one, or a list; undefined for anything else. */
export function parseCalls(text: string): ToolCall[] | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  const calls = (Array.isArray(value) ? (value as unknown[]) : [value]).map(callOf);
  return calls.length > 0 && calls.every((call) => call !== undefined) ? calls : undefined;
}

function callOf(value: unknown): ToolCall | undefined {
  const { name, arguments: given, parameters } = Object(value) as Readonly<Record<string, unknown>>;
  if (typeof name !== 'string' || name === '') return undefined;
  const args = given ?? parameters ?? {};
  // Some models write the object as a text.
  const object = typeof args === 'string' ? parsedObject(args) : args;
  if (typeof object !== 'object' || object === null || Array.isArray(object)) return undefined;
  return { name, arguments: JSON.stringify(object) };
}

function parsedObject(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** JSON values one behind another, with semicolons or space between them; undefined where something else is there. */
export function splitJson(text: string): string[] | undefined {
  const parts: string[] = [];
  let [depth, start, isQuoted] = [0, -1, false];
  for (let at = 0; at < text.length; at++) {
    const letter = text[at] as string;
    if (isQuoted) {
      if (letter === '\\') at++;
      else if (letter === '"') isQuoted = false;
    } else if (letter === '"' && depth > 0) isQuoted = true;
    else if (letter === '{') {
      if (depth++ === 0) start = at;
    } else if (letter === '}') {
      if (--depth < 0) return undefined;
      if (depth === 0) parts.push(text.slice(start, at + 1));
    } else if (depth === 0 && !/[\s;,]/.test(letter)) return undefined;
  }
  return depth === 0 && parts.length > 0 ? parts : undefined;
}
