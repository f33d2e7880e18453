// Calls in answers, whatever pieces they come in.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Llama3Reader } from '../../src/tools/llama3.ts';
import { TaggedReader } from '../../src/tools/tagged.ts';
import type { ToolPiece, ToolReader } from '../../src/tools/types.ts';

/** Text that was given, and calls, in their order. */
function read(reader: ToolReader, parts: readonly string[]): (string | [string, unknown])[] {
  const pieces: ToolPiece[] = [...parts.flatMap((part) => reader.push(part)), ...reader.end()];
  const out: (string | [string, unknown])[] = [];
  for (const piece of pieces) {
    if (piece.type === 'call') out.push([piece.call.name, JSON.parse(piece.call.arguments)]);
    else if (typeof out.at(-1) === 'string') out[out.length - 1] += piece.text;
    else out.push(piece.text);
  }
  return out;
}

const tagged = (text: string) => read(new TaggedReader(), [text]);
const llama = (text: string) => read(new Llama3Reader(['f', 'brave_search']), [text]);

describe('tagged calls', () => {
  it.each([
    ['plain text, a < b', ['plain text, a < b']],
    ['<tool_call>\n{"name": "f", "arguments": {"a": 1}}\n</tool_call>', [['f', { a: 1 }]]],
    [
      'I look. <tool_call>{"name":"f","arguments":{}}</tool_call>\n<tool_call>{"name":"g","arguments":{"x":"</tool"}}</tool_call>',
      ['I look.', ['f', {}], ['g', { x: '</tool' }]],
    ],
    [
      '<tool_call>[{"name": "f", "arguments": {"a": [1]}}, {"name": "g"}]</tool_call>',
      [
        ['f', { a: [1] }],
        ['g', {}],
      ],
    ],
    ['<tool_call>{"name": "f", "arguments": "{\\"a\\": 2}"}</tool_call> so', [['f', { a: 2 }], ' so']],
    // Left open at the end of the answer, and whole.
    ['<tool_call>\n{"name": "f", "arguments": {}}', [['f', {}]]],
    // No calls after all.
    ['<tool_call>{"name": "f", </tool_call> x', ['<tool_call>{"name": "f", </tool_call> x']],
    ['<tool_call>{"name": "f", "argu', ['<tool_call>{"name": "f", "argu']],
    ['<tool_call>[]</tool_call>', ['<tool_call>[]</tool_call>']],
    ['<tool_call>{"name": 3}</tool_call>', ['<tool_call>{"name": 3}</tool_call>']],
    ['a <tool_cal', ['a <tool_cal']],
  ])('%j', (text, pieces) => {
    expect(tagged(text)).toEqual(pieces);
  });
});

describe("Llama 3's calls", () => {
  it.each([
    ['{"name": "f", "parameters": {"a": 1}}', [['f', { a: 1 }]]],
    [
      '<|python_tag|>{"name": "f", "parameters": {}}; {"name": "f", "parameters": {"b": "};"}}',
      [
        ['f', {}],
        ['f', { b: '};' }],
      ],
    ],
    [
      '<|python_tag|>brave_search.call(query="a \\"b\\"", count=3, deep=True)',
      [['brave_search', { query: 'a "b"', count: 3, deep: true }]],
    ],
    ['The answer is {"name": "f"}', ['The answer is {"name": "f"}']],
    // JSON that calls nothing is an answer.
    ['{"name": "Ada", "age": 36}', ['{"name": "Ada", "age": 36}']],
    ['{"name": "f", "parameters": {', ['{"name": "f", "parameters": {']],
    ['<|python_tag|>print(1)', ['print(1)']],
    ['', []],
  ])('%j', (text, pieces) => {
    expect(llama(text)).toEqual(pieces);
  });
});

it('pieces do not matter (property)', () => {
  const fragments = [
    '<tool_call>',
    '</tool_call>',
    '{"name": "f", "arguments": {"a": "<tool_call>"}}',
    '<',
    '\n',
    ' ',
    'text',
    '{',
    '}',
    '<|python_tag|>',
    '{"name": "f", "parameters": {}}',
    ';',
  ];
  const text = fc.array(fc.constantFrom(...fragments), { maxLength: 8 }).map((parts) => parts.join(''));
  fc.assert(
    fc.property(text, fc.array(fc.nat(9), { maxLength: 20 }), (whole, cuts) => {
      const parts: string[] = [];
      let at = 0;
      for (const cut of cuts) parts.push(whole.slice(at, (at += cut)));
      parts.push(whole.slice(at));
      expect(read(new TaggedReader(), parts)).toEqual(read(new TaggedReader(), [whole]));
      expect(read(new Llama3Reader(['f']), parts)).toEqual(read(new Llama3Reader(['f']), [whole]));
      // Nothing is lost but space at the end and around calls.
      const given = read(new TaggedReader(), [whole]);
      const isText = given.every((piece) => typeof piece === 'string');
      expect(isText ? given.join('') : whole.trimEnd()).toBe(whole.trimEnd());
    }),
    { numRuns: 300 },
  );
});
