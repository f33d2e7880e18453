// The syntax of a JavaScript regular expression with the flag `u`, as far as its structure goes: what repeats what.

/** A node of a pattern. */
export type Pattern =
  /** One character of a set, written as `source`. */
  | { readonly kind: 'set'; readonly source: string }
  | { readonly kind: 'sequence'; readonly parts: readonly Pattern[] }
  | { readonly kind: 'choice'; readonly options: readonly Pattern[] }
  | { readonly kind: 'repeat'; readonly body: Pattern; readonly min: number; readonly max: number }
  /** Looks ahead or behind: takes no character. */
  | { readonly kind: 'look'; readonly body: Pattern };

/** Levels of groups that are read. */
const DEEPEST = 50;
const ESCAPE = /\\(?:[pP]\{[^}]*\}|u\{[^}]*\}|u[\da-fA-F]{4}|x[\da-fA-F]{2}|c[A-Za-z]|[^])/uy;
const CLASS = /\[(?:\\[^]|[^\]\\])*\]/uy;
const GROUP = /\((?:\?(?:<?[=!]|:|<[^>]*>|[a-z]*-?[a-z]*:))?/uy;
const QUANTIFIER = /(?:[*+?]|\{(\d+)(,(\d*))?\})\??/uy;

/** Reads a pattern. @returns undefined for what is not read: backreferences, groups nested too deep */
export function readPattern(source: string): Pattern | undefined {
  let at = 0;
  const take = (pattern: RegExp): RegExpExecArray | undefined => {
    pattern.lastIndex = at;
    const found = pattern.exec(source) ?? undefined;
    if (found) at = pattern.lastIndex;
    return found;
  };
  const empty: Pattern = { kind: 'sequence', parts: [] };
  const choice = (depth: number): Pattern => {
    const options: Pattern[] = [];
    let parts: Pattern[] = [];
    while (at < source.length && source[at] !== ')') {
      if (source[at] === '|') {
        at++;
        options.push({ kind: 'sequence', parts });
        parts = [];
      } else parts.push(repeated(atom(depth)));
    }
    options.push({ kind: 'sequence', parts });
    return options.length === 1 ? (options[0] as Pattern) : { kind: 'choice', options };
  };
  const repeated = (body: Pattern): Pattern => {
    const [text, least, comma, most] = take(QUANTIFIER) ?? [];
    if (text === undefined) return body;
    const min = least === undefined ? (text.startsWith('+') ? 1 : 0) : Number(least);
    const open = text.startsWith('?') ? 1 : Infinity;
    const max = least === undefined ? open : comma === undefined ? min : most === '' ? Infinity : Number(most);
    return { kind: 'repeat', body, min, max };
  };
  const atom = (depth: number): Pattern => {
    const start = at;
    const group = take(GROUP)?.[0];
    if (group !== undefined) {
      if (depth > DEEPEST) throw new Error('too deep');
      const body = choice(depth + 1);
      at++;
      if (/^\(\?<?[=!]/.test(group)) return { kind: 'look', body };
      return takesOne(body) ? { kind: 'set', source: source.slice(start, at) } : body;
    }
    if (source[at] === '^' || source[at] === '$') {
      at++;
      return empty;
    }
    const escape = take(ESCAPE)?.[0];
    if (escape !== undefined) {
      if (/^\\[bB]$/.test(escape)) return empty;
      if (/^\\[1-9k]/.test(escape)) throw new Error('a backreference');
      return { kind: 'set', source: escape };
    }
    const text = take(CLASS)?.[0] ?? String.fromCodePoint(source.codePointAt(at) as number);
    if (at === start) at += text.length;
    return { kind: 'set', source: text };
  };
  try {
    return choice(0);
  } catch {
    return undefined;
  }
}

/** Whether a node takes exactly one character in one way: a set, and what looks around it. */
function takesOne(node: Pattern): boolean {
  if (node.kind === 'set') return true;
  if (node.kind !== 'sequence') return false;
  const taking = node.parts.filter(({ kind }) => kind !== 'look');
  return taking.length === 1 && takesOne(taking[0] as Pattern);
}
