// Grammars as texts, in the notation of llama.cpp (GBNF): `root ::= "yes" | "no"`, classes, groups, counts, comments.
import { LlmError } from '../errors.ts';
import { complement, rangesOf, type CodePoints } from './code-points.ts';
import { characters, choice, literal, repeat, rule, sequence } from './fragments.ts';
import type { Fragment } from './network.ts';

const NAME = /[a-zA-Z][\w-]*/y;
const SPACE = /(?:\s|#[^\n]*)*/y;
const COUNT = /\{(\d+)(,(\d*))?\}/y;
const ESCAPES: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t' };

/** @throws LlmError `invalid-input` with the line that cannot be read */
export function gbnfFragment(source: string): Fragment {
  const rules = new Map<string, Fragment>();
  const reader = new GbnfReader(source, rules);
  reader.read();
  if (!rules.has('root'))
    throw new LlmError('invalid-input', 'grammar: there is no rule named root', { name: 'grammar' });
  for (const [name, line] of reader.used) {
    if (!rules.has(name))
      throw new LlmError('invalid-input', `grammar, line ${line}: there is no rule named ${name}`, {
        name: 'grammar',
        line,
      });
  }
  return rule('grammar root', () => rules.get('root') as Fragment);
}

class GbnfReader {
  readonly #source: string;
  readonly #rules: Map<string, Fragment>;
  /** Rules that are spoken of, and where first. */
  readonly used = new Map<string, number>();
  #at = 0;

  constructor(source: string, rules: Map<string, Fragment>) {
    this.#source = source;
    this.#rules = rules;
  }

  read(): void {
    this.#skip();
    while (this.#at < this.#source.length) {
      const name = this.#match(NAME) ?? this.#fail('the name of a rule');
      this.#skip();
      if (!this.#take('::=')) this.#fail('::=');
      if (this.#rules.has(name)) this.#fail(`another name: ${name} is there already`);
      this.#rules.set(name, this.#alternatives());
    }
  }

  #alternatives(): Fragment {
    const all = [this.#sequence()];
    while (this.#take('|')) all.push(this.#sequence());
    return choice(...all);
  }

  #sequence(): Fragment {
    const parts: Fragment[] = [];
    for (;;) {
      this.#skip();
      const part = this.#item();
      if (!part) return sequence(...parts);
      parts.push(this.#counted(part));
    }
  }

  #item(): Fragment | undefined {
    const next = this.#source[this.#at];
    if (next === '"') return this.#literal();
    if (next === '[') return characters(this.#class());
    if (next === '.') {
      this.#at++;
      return characters(complement([]));
    }
    if (this.#take('(')) {
      const inner = this.#alternatives();
      if (!this.#take(')')) this.#fail(')');
      return inner;
    }
    const start = this.#at;
    const name = this.#match(NAME);
    if (name === undefined) return undefined;
    this.#skip();
    // The next rule begins here.
    if (this.#source.startsWith('::=', this.#at)) {
      this.#at = start;
      return undefined;
    }
    if (!this.used.has(name)) this.used.set(name, this.#line);
    return rule(`grammar ${name}`, () => this.#rules.get(name) as Fragment);
  }

  #counted(part: Fragment): Fragment {
    let counted = part;
    for (;;) {
      if (this.#take('*')) counted = repeat(counted, 0, Infinity);
      else if (this.#take('+')) counted = repeat(counted, 1, Infinity);
      else if (this.#take('?')) counted = repeat(counted, 0, 1);
      else {
        COUNT.lastIndex = this.#at;
        const [all, least, range, most] = COUNT.exec(this.#source) ?? [];
        if (all === undefined) return counted;
        this.#at += all.length;
        const low = Number(least);
        const high = range === undefined ? low : most === '' ? Infinity : Number(most);
        if (low > high) this.#fail('a count that is not less than the one before it');
        counted = repeat(counted, low, high);
      }
    }
  }

  #literal(): Fragment {
    this.#at++;
    let text = '';
    while (this.#source[this.#at] !== '"') text += String.fromCodePoint(this.#character('"'));
    this.#at++;
    return literal(text);
  }

  #class(): CodePoints {
    this.#at++;
    const isNegated = this.#source[this.#at] === '^';
    if (isNegated) this.#at++;
    const ranges: [number, number][] = [];
    while (this.#source[this.#at] !== ']') {
      const low = this.#character(']');
      let high = low;
      if (this.#source[this.#at] === '-' && this.#source[this.#at + 1] !== ']') {
        this.#at++;
        high = this.#character(']');
      }
      if (low > high) this.#fail('a range whose end is not before its beginning');
      ranges.push([low, high]);
    }
    this.#at++;
    const points = isNegated ? complement(ranges) : rangesOf(ranges);
    if (points.length === 0) this.#fail('a class that has characters');
    return points;
  }

  /** One character, or what an escape stands for. */
  #character(end: string): number {
    const point = this.#source.codePointAt(this.#at);
    if (point === undefined) this.#fail(end);
    this.#at += String.fromCodePoint(point as number).length;
    if (point !== 0x5c) return point as number;
    const kind = this.#source[this.#at++] ?? this.#fail('what is escaped');
    const digits = { x: 2, u: 4, U: 8 }[kind];
    if (digits === undefined) return (ESCAPES[kind] ?? kind).codePointAt(0) as number;
    const hex = this.#source.slice(this.#at, this.#at + digits);
    const value = Number.parseInt(hex, 16);
    if (!/^[\da-f]+$/i.test(hex) || hex.length < digits || value > 0x10ffff)
      this.#fail(`${digits} hexadecimal digits of a character`);
    this.#at += digits;
    return value;
  }

  #skip(): void {
    SPACE.lastIndex = this.#at;
    this.#at += (SPACE.exec(this.#source) as RegExpExecArray)[0].length;
  }

  #take(text: string): boolean {
    if (text !== '*' && text !== '+' && text !== '?') this.#skip();
    if (!this.#source.startsWith(text, this.#at)) return false;
    this.#at += text.length;
    return true;
  }

  #match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#source)?.[0];
    this.#at += found?.length ?? 0;
    return found;
  }

  get #line(): number {
    return this.#source.slice(0, this.#at).split('\n').length;
  }

  #fail(expected: string): never {
    const found = this.#source.slice(this.#at, this.#at + 12);
    const message = `grammar, line ${this.#line}: expected ${expected}, found ${found === '' ? 'the end' : JSON.stringify(found)}`;
    throw new LlmError('invalid-input', message, { name: 'grammar', line: this.#line });
  }
}
