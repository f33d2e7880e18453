// Values of files as messages show them: what a file holds may be of any size, nested at any depth.

/** Characters of a bad value that a message quotes at most. */
export const MOST_QUOTED = 200;
const DEEPEST = 4;

/** A value as JSON, cut: never more than {@link MOST_QUOTED} characters, whatever it is. */
export function quoted(value: unknown): string {
  return brief(written(value, MOST_QUOTED, 0));
}

/** A text (a name, a place) without quotes, cut. */
export function brief(text: string): string {
  return text.length <= MOST_QUOTED ? text : `${text.slice(0, MOST_QUOTED - 1)}…`;
}

/** The first `room` characters of a value's JSON, or a few more. */
function written(value: unknown, room: number, depth: number): string {
  if (typeof value === 'string') return JSON.stringify(value.slice(0, room));
  if (typeof value !== 'object' || value === null) return typeof value === 'bigint' ? `${value}n` : String(value);
  if (depth >= DEEPEST) return Array.isArray(value) ? '[…]' : '{…}';
  const isList = Array.isArray(value);
  const parts: string[] = [];
  let left = room;
  for (const key in value) {
    if (!Object.hasOwn(value, key)) continue;
    const inner = written((value as Readonly<Record<string, unknown>>)[key], left, depth + 1);
    const part = isList ? inner : `${JSON.stringify(key.slice(0, left))}:${inner}`;
    parts.push(part);
    left -= part.length + 1;
    if (left <= 0) break;
  }
  return isList ? `[${parts.join(',')}]` : `{${parts.join(',')}}`;
}
