// What is written under a schema parses and fits it, whoever writes and wherever it is cut: ajv judges.
import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Grammar } from '../../src/constrain/grammar.ts';
import { NetworkBuilder } from '../../src/constrain/network.ts';
import { schemaFragment } from '../../src/constrain/schema.ts';
import { LlmError } from '../../src/errors.ts';
import { TREE, writeRandomly } from '../helpers/random-writer.ts';

const ajv = new Ajv2020({ strict: false, validateFormats: true });
(addFormats as unknown as (to: Ajv2020) => void)(ajv);

function grammarOf(schema: unknown): Grammar {
  const builder = new NetworkBuilder();
  const fragment = schemaFragment(schema);
  builder.rule('root', () => fragment);
  return new Grammar(builder.build(), TREE);
}

/** Values that a schema gets from writers of some seeds, cut after some tokens; all of them fit. */
function valuesOf(schema: unknown, seeds: number): unknown[] {
  const grammar = grammarOf(schema);
  const validate = ajv.compile(schema as object);
  return Array.from({ length: seeds }, (_, seed) => {
    const maxTokens = grammar.leastTokens + (seed % 4 === 0 ? 0 : 7 * seed);
    const { text, isEnded } = writeRandomly(grammar, maxTokens, seed);
    const value: unknown = JSON.parse(text);
    expect(isEnded, text).toBe(true);
    expect([validate(value), validate.errors, text]).toEqual([true, null, text]);
    return value;
  });
}

const point = {
  type: 'object',
  properties: { x: { type: 'number' }, y: { type: 'number' } },
  required: ['x', 'y'],
  additionalProperties: false,
};

describe('a schema', () => {
  it.each<[string, unknown]>([
    ['anything', true],
    ['an object of anything', { type: 'object' }],
    ['an integer', { type: 'integer' }],
    ['an integer at least 3', { type: 'integer', minimum: 3 }],
    ['an integer between', { type: 'integer', minimum: -17, maximum: 1204 }],
    ['an integer apart from its bounds', { type: 'integer', exclusiveMinimum: 3, exclusiveMaximum: 6 }],
    ['a number between', { type: 'number', minimum: 0, maximum: 1 }],
    ['a number between fractions', { type: 'number', minimum: -2.5, exclusiveMaximum: 7.25 }],
    ['a number in a small range', { type: 'number', minimum: 0.21, maximum: 0.29 }],
    ['a multiple', { type: 'integer', multipleOf: 7 }],
    ['a multiple between', { type: 'integer', multipleOf: 25, minimum: -60, maximum: 200 }],
    ['a text of so many characters', { type: 'string', minLength: 2, maxLength: 5 }],
    ['a pattern', { type: 'string', pattern: '^[A-Z]{2}-\\d{3}(\\.[a-f"\\\\]+)?$' }],
    ['a pattern anywhere', { type: 'string', pattern: 'ab+c|[^a-z]é' }],
    ['constants', { enum: ['red', 'gr"een', 3, null, { a: [1] }] }],
    ['constants of a type', { type: 'string', enum: ['a', 'b', 1] }],
    ['types', { type: ['integer', 'null', 'boolean'] }],
    ['an array', { type: 'array', items: { type: 'boolean' }, minItems: 2, maxItems: 4 }],
    [
      'a tuple',
      {
        type: 'array',
        prefixItems: [{ type: 'integer' }, { type: 'string', maxLength: 2 }],
        items: { type: 'null' },
        minItems: 1,
        maxItems: 4,
      },
    ],
    ['a closed tuple', { type: 'array', prefixItems: [{ const: 1 }, { const: 2 }], items: false }],
    ['an object', { ...point, properties: { ...point.properties, name: { type: 'string', maxLength: 3 } } }],
    [
      'optional properties',
      {
        type: 'object',
        properties: { a: { type: 'null' }, b: { type: 'null' }, c: { type: 'null' } },
        required: ['b'],
      },
    ],
    ['only optional properties', { type: 'object', properties: { a: { const: 1 }, b: { const: 2 } } }],
    [
      'a required property that is not described',
      {
        type: 'object',
        properties: { a: { const: 1 } },
        required: ['a', 'b'],
        additionalProperties: { type: 'boolean' },
      },
    ],
    [
      'a map',
      {
        type: 'object',
        additionalProperties: { type: 'integer', minimum: 0, maximum: 9 },
        maxProperties: 3,
        minProperties: 1,
      },
    ],
    ['alternatives', { anyOf: [point, { type: 'string', maxLength: 3 }, { type: 'null' }] }],
    [
      'alternatives of which one fits',
      {
        oneOf: [
          { type: 'object', properties: { kind: { const: 'a' }, v: { type: 'integer' } }, required: ['kind', 'v'] },
          { type: 'object', properties: { kind: { const: 'b' } }, required: ['kind'] },
        ],
      },
    ],
    [
      'what alternatives have in common',
      {
        type: 'object',
        properties: { id: { type: 'integer', minimum: 1, maximum: 5 } },
        required: ['id'],
        anyOf: [{ properties: { a: { const: 1 } }, required: ['a'] }, { properties: { b: { const: 2 } } }],
      },
    ],
    [
      'all of them',
      {
        allOf: [
          { type: 'object', properties: { a: { type: 'integer', minimum: 2 } }, required: ['a'] },
          { properties: { a: { maximum: 4 }, b: { const: 'x' } }, required: ['b'] },
        ],
      },
    ],
    [
      'a tree',
      {
        $ref: '#/$defs/node',
        $defs: {
          node: {
            type: 'object',
            properties: {
              v: { type: 'integer' },
              next: { anyOf: [{ $ref: '#/$defs/node' }, { type: 'null' }] },
              all: { type: 'array', items: { $ref: '#/$defs/node' } },
            },
            required: ['v', 'next'],
            additionalProperties: false,
          },
        },
      },
    ],
    ['itself', { type: 'array', items: { $ref: '#' } }],
    [
      'a place with further words',
      {
        properties: { n: { $ref: '#/definitions/n', minimum: 5 } },
        required: ['n'],
        definitions: { n: { type: 'integer', maximum: 8 } },
      },
    ],
    [
      'formats',
      {
        type: 'object',
        properties: Object.fromEntries(
          ['date', 'time', 'date-time', 'email', 'ipv4', 'ipv6', 'uuid', 'hostname', 'duration'].map((format) => [
            format,
            { type: 'string', format },
          ]),
        ),
        required: ['date', 'time', 'date-time', 'email', 'ipv4', 'ipv6', 'uuid', 'hostname', 'duration'],
      },
    ],
  ])('of %s', (_, schema) => {
    const values = valuesOf(schema, 12);
    expect(values).toHaveLength(12);
  });

  it('that has several values gets several', () => {
    const distinct = (schema: unknown) => new Set(valuesOf(schema, 40).map((value) => JSON.stringify(value))).size;
    expect(distinct({ type: 'integer', minimum: 1, maximum: 4 })).toBe(4);
    expect(distinct({ type: 'object', properties: { a: { const: 1 }, b: { const: 2 } } })).toBe(4);
    expect(distinct({ type: 'string', maxLength: 3 })).toBeGreaterThan(10);
  });

  it.each<[string, unknown, RegExp]>([
    ['not', { not: { type: 'string' } }, /#: not/],
    ['if', { if: {}, else: {} }, /if/],
    ['patternProperties', { type: 'object', patternProperties: { a: {} } }, /patternProperties/],
    ['uniqueItems', { type: 'array', uniqueItems: true }, /uniqueItems/],
    ['a fraction to be a multiple of', { type: 'number', multipleOf: 0.1 }, /multipleOf/],
    ['schemas of which two may fit', { oneOf: [{ type: 'integer' }, { type: 'number' }] }, /oneOf/],
    [
      'an inner word',
      { type: 'object', properties: { a: { type: 'array', items: { contains: {} } } } },
      /#\/properties\/a\/items: contains/,
    ],
    ['no such place', { $ref: '#/$defs/none' }, /there is no #\/\$defs\/none/],
    ['another document', { $ref: 'https://example.org/schema' }, /no place in this schema/],
    [
      'itself without another way',
      { type: 'object', properties: { a: { $ref: '#' } }, required: ['a'] },
      /no finite text/,
    ],
    ['nothing but itself', { $ref: '#' }, /begins with itself|no finite text/],
    ['bounds without numbers', { type: 'integer', minimum: 3.2, maximum: 3.8 }, /no number lies between/],
    ['no type', { type: 'float' }, /"float" is no type/],
    ['types that exclude each other', { allOf: [{ type: 'string' }, { type: 'integer' }] }, /no type is left/],
    ['an expression that looks around', { type: 'string', pattern: '(?=a)b' }, /cannot be held to/],
    ['no expression', { type: 'string', pattern: '(' }, /pattern/],
    ['no schema', { type: 'object', properties: { a: 3 } }, /it is no schema/],
    ['false', false, /nothing fits/],
    ['a count without end', { type: 'array', minItems: 1e6, items: { type: 'string' } }, /more than 200000 states/],
  ])('is refused for %s', (_, schema, message) => {
    expect(() => grammarOf(schema)).toThrow(LlmError);
    expect(() => grammarOf(schema)).toThrow(message);
  });
});

/** What cannot be held to is said, in this package's words. */
function grammarUnlessRefused(schema: unknown): Grammar | undefined {
  try {
    return grammarOf(schema);
  } catch (error) {
    if (error instanceof LlmError && error.code === 'invalid-input') return undefined;
    throw error;
  }
}

it('any schema that is not refused holds its writers to it (property)', () => {
  const name = fc.constantFrom('a', 'b', 'name', 'x y', '"', 'é');
  const { schema } = fc.letrec<{ schema: object }>((tie) => ({
    schema: fc.oneof(
      { depthSize: 'small', withCrossShrink: true },
      fc.record(
        {
          type: fc.constantFrom('integer', 'number'),
          minimum: fc.integer({ min: -120, max: 40 }),
          maximum: fc.integer({ min: 41, max: 5000 }),
        },
        { requiredKeys: ['type'] },
      ),
      fc.record(
        {
          type: fc.constantFrom('integer', 'number'),
          exclusiveMinimum: fc.double({ min: -9, max: 9, noNaN: true }),
          exclusiveMaximum: fc.double({ min: 10, max: 99, noNaN: true }),
        },
        { requiredKeys: ['type'] },
      ),
      fc.record(
        {
          type: fc.constant('string'),
          minLength: fc.integer({ min: 0, max: 2 }),
          maxLength: fc.integer({ min: 2, max: 6 }),
        },
        { requiredKeys: ['type'] },
      ),
      fc.record({
        enum: fc.array(fc.oneof(fc.string({ unit: 'binary' }), fc.integer(), fc.constant(null)), {
          minLength: 1,
          maxLength: 3,
        }),
      }),
      fc.record({ type: fc.constantFrom('boolean', 'null', 'string', ['null', 'integer'], 'object') }),
      fc.record({
        type: fc.constant('string'),
        pattern: fc.stringMatching(/^\^[a-c]{1,3}(\\d|[x-z]|\.)[*+?]?(\(b\|cd\)\{1,2\})?\$$/),
      }),
      fc.record(
        {
          type: fc.constant('array'),
          items: tie('schema'),
          minItems: fc.integer({ min: 0, max: 2 }),
          maxItems: fc.integer({ min: 2, max: 3 }),
        },
        { requiredKeys: ['type'] },
      ),
      fc.record(
        {
          type: fc.constant('array'),
          prefixItems: fc.array(tie('schema'), { minLength: 1, maxLength: 2 }),
          items: tie('schema'),
        },
        { requiredKeys: ['type', 'prefixItems'] },
      ),
      fc.record({ anyOf: fc.array(tie('schema'), { minLength: 1, maxLength: 3 }) }),
      fc.record({ allOf: fc.array(tie('schema'), { minLength: 1, maxLength: 2 }) }),
      fc
        .record(
          {
            properties: fc.dictionary(name, tie('schema'), { maxKeys: 3, noNullPrototype: true }),
            required: fc.uniqueArray(name, { maxLength: 2 }),
            additionalProperties: fc.oneof(fc.boolean(), tie('schema')),
          },
          { requiredKeys: ['properties'] },
        )
        .map((fields) => ({ type: 'object', ...fields })),
    ),
  }));
  let compiled = 0;
  fc.assert(
    fc.property(schema, fc.nat(1000), fc.nat(60), (one, seed, more) => {
      const grammar = grammarUnlessRefused(one);
      if (!grammar) return;
      compiled++;
      const { text, isEnded } = writeRandomly(grammar, grammar.leastTokens + more, seed);
      expect(isEnded).toBe(true);
      const validate = ajv.compile(one);
      expect([validate(JSON.parse(text)), validate.errors]).toEqual([true, null]);
    }),
    { numRuns: 100 },
  );
  expect(compiled).toBeGreaterThan(30);
});
