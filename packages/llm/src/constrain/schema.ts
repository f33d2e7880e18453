// JSON schemas (2020-12) as fragments. What is written always fits; not all that fits is written. A keyword that cannot be held to is
// refused, never ignored.
import { LlmError } from '../errors.ts';
import {
  character,
  integer,
  list,
  literalOf,
  member,
  number,
  quoted,
  space,
  string,
  stringCharacters,
  value,
} from './json-text.ts';
import { choice, literal, repeat, rule, sequence } from './fragments.ts';
import { formatOf } from './formats.ts';
import type { Fragment } from './network.ts';
import { integersBetween, multiplesBetween, numbersBetween, type Bounds } from './number-ranges.ts';
import { regexFragment } from './regex.ts';
import { mergeSchemas, types, type SchemaObject } from './schema-merge.ts';
import { areApart } from './schema-apart.ts';

/** Keywords that say nothing of what fits. */
const ANNOTATIONS = new Set(
  'title description default examples $comment $schema $id $anchor $defs definitions deprecated readOnly writeOnly contentEncoding contentMediaType strict nullable'.split(
    ' ',
  ),
);
/** Keywords of one type of value. */
const OF_TYPE: Readonly<Record<string, readonly string[]>> = {
  object: ['properties', 'required', 'additionalProperties', 'minProperties', 'maxProperties'],
  array: ['items', 'prefixItems', 'minItems', 'maxItems', 'uniqueItems'],
  string: ['minLength', 'maxLength', 'pattern', 'format'],
  number: ['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum', 'multipleOf'],
};
const EVERYWHERE = ['type', 'enum', 'const', 'anyOf', 'oneOf', 'allOf', '$ref'];
const KNOWN = new Set([...ANNOTATIONS, ...EVERYWHERE, ...Object.values(OF_TYPE).flat()]);
const TYPES = ['object', 'array', 'string', 'number', 'integer', 'boolean', 'null'];
/** `$ref`s that stand for each other at most. */
const MOST_REFS = 64;

/** Texts that a schema accepts. @throws LlmError `invalid-input` naming the keyword that cannot be held to */
export function schemaFragment(root: unknown): Fragment {
  return new SchemaReader(root).fragment(root, '#');
}

class SchemaReader {
  readonly #root: unknown;

  constructor(root: unknown) {
    this.#root = root;
  }

  /** @param path - where the schema stands */
  fragment(schema: unknown, path: string, refs = 0): Fragment {
    if (schema === true) return value;
    if (schema === false) throw refused(path, 'false', 'nothing fits it');
    if (typeof schema !== 'object' || schema === null || Array.isArray(schema))
      throw refused(path, JSON.stringify(schema) ?? 'undefined', 'it is no schema');
    const own = schema as SchemaObject;
    for (const key of Object.keys(own))
      if (!KNOWN.has(key)) throw refused(path, key, 'it cannot be held to while a text is written');
    const { $ref, allOf, anyOf, oneOf, ...rest } = own;
    if ($ref !== undefined) return this.#reference($ref, rest, { allOf, anyOf, oneOf }, path, refs);
    if (allOf !== undefined) {
      const all = schemas(allOf, `${path}/allOf`).map((one, index) => this.#resolved(one, `${path}/allOf/${index}`));
      if (refs > MOST_REFS) throw refused(path, 'allOf', 'it stands in itself');
      const merged = all.reduce(mergeSchemas, { ...rest, ...defined({ anyOf, oneOf }) });
      return this.fragment(merged, `${path}/allOf`, refs + 1);
    }
    const alternatives = anyOf ?? oneOf;
    if (anyOf !== undefined && oneOf !== undefined) throw refused(path, 'oneOf', 'anyOf stands beside it');
    if (alternatives !== undefined) {
      const name = anyOf === undefined ? 'oneOf' : 'anyOf';
      const all = schemas(alternatives, `${path}/${name}`);
      const place = (index: number) => `${path}/${name}/${index}`;
      if (name === 'oneOf')
        this.#checkApart(
          all.map((one, index) => mergeSchemas(rest, this.#resolved(one, place(index)))),
          path,
        );
      // What holds for all of them is part of each; where nothing does, each stays a rule of its own, which may stand in itself.
      const isShared = Object.keys(without(rest, ANNOTATIONS)).length > 0;
      if (isShared && refs > MOST_REFS)
        throw refused(path, name, 'it stands in itself, with further keywords beside it');
      const whole = (one: unknown, index: number) =>
        isShared ? mergeSchemas(rest, this.#resolved(one, place(index))) : one;
      return choice(
        ...all.map((one, index) => this.fragment(whole(one, index), place(index), isShared ? refs + 1 : refs)),
      );
    }
    return this.#plain(rest, path, refs);
  }

  #checkApart(all: readonly unknown[], path: string): void {
    if (all.every((one, i) => all.slice(0, i).every((other) => areApart(one, other)))) return;
    throw refused(
      path,
      'oneOf',
      'two of its schemas may fit the same value: use anyOf, or give each a type or a constant property of its own',
    );
  }

  /** A schema that stands elsewhere is a rule of its own: it may stand in itself. */
  #reference($ref: unknown, rest: SchemaObject, others: SchemaObject, path: string, refs: number): Fragment {
    const siblings = { ...without(rest, ANNOTATIONS), ...defined(others) };
    if (Object.keys(siblings).length > 0) {
      if (refs > MOST_REFS) throw refused(path, '$ref', 'it stands for itself');
      return this.fragment(mergeSchemas(siblings, this.#resolved({ $ref }, path)), path, refs + 1);
    }
    const target = this.#target($ref, path);
    return rule(`schema ${String($ref)}`, () => this.fragment(target, String($ref), 0));
  }

  /** What `$ref`s stand for. */
  #resolved(schema: unknown, path: string): unknown {
    let at = schema;
    for (let count = 0; count < MOST_REFS; count++) {
      if (typeof at !== 'object' || at === null || !('$ref' in at)) return at;
      const { $ref, ...rest } = at as SchemaObject;
      at = mergeSchemas(this.#target($ref, path), rest);
    }
    throw refused(path, '$ref', 'it stands for itself');
  }

  #target($ref: unknown, path: string): unknown {
    if (typeof $ref !== 'string' || !$ref.startsWith('#'))
      throw refused(path, '$ref', `${JSON.stringify($ref)} is no place in this schema`);
    const steps = $ref
      .slice(1)
      .split('/')
      .slice(1)
      .map((step) => decodeURIComponent(step).replaceAll('~1', '/').replaceAll('~0', '~'));
    let at = this.#root;
    for (const step of steps) {
      at = typeof at === 'object' && at !== null && Object.hasOwn(at, step) ? (at as SchemaObject)[step] : undefined;
    }
    if (at === undefined) throw refused(path, '$ref', `there is no ${$ref}`);
    return at;
  }

  #plain(schema: SchemaObject, path: string, refs: number): Fragment {
    const { const: constant, enum: constants, type } = schema;
    const given = type === undefined ? impliedTypes(schema) : types(type);
    for (const one of given) if (!TYPES.includes(one)) throw refused(path, 'type', `${JSON.stringify(one)} is no type`);
    if (given.length === 0) throw refused(path, 'type', 'no type is left');
    if (schema['nullable'] === true && !given.includes('null')) given.push('null');
    const listed = constant !== undefined ? [constant] : constants;
    if (listed !== undefined) {
      if (!Array.isArray(listed)) throw refused(path, 'enum', 'it is no list');
      const further = Object.keys(without(schema, ANNOTATIONS)).filter(
        (key) => !['const', 'enum', 'type'].includes(key),
      );
      if (further.length > 0)
        throw refused(path, further[0] as string, 'constants stand beside it: leave out those that do not fit');
      const fitting = (listed as unknown[]).filter(
        (one) => type === undefined || given.some((name) => isOfType(one, name)),
      );
      const both = constant !== undefined && constants !== undefined;
      const all = both
        ? fitting.filter((one) =>
            (constants as unknown[]).some((other) => JSON.stringify(other) === JSON.stringify(one)),
          )
        : fitting;
      if (all.length === 0) throw refused(path, 'enum', 'no constant fits');
      return choice(...all.map(literalOf));
    }
    return choice(...given.map((name) => this.#ofType(name, schema, path, refs)));
  }

  #ofType(name: string, schema: SchemaObject, path: string, refs: number): Fragment {
    switch (name) {
      case 'object':
        return this.#object(schema, path, refs);
      case 'array':
        return this.#array(schema, path, refs);
      case 'string':
        return stringFragment(schema, path);
      case 'boolean':
        return choice(literal('true'), literal('false'));
      case 'null':
        return literal('null');
      default:
        return numberFragment(name === 'integer', schema, path);
    }
  }

  /** Properties in the order of the schema; others than those that it names are written only where it names none. */
  #object(schema: SchemaObject, path: string, refs: number): Fragment {
    const properties = (schema['properties'] ?? {}) as SchemaObject;
    const required = (schema['required'] ?? []) as readonly string[];
    const others = schema['additionalProperties'] ?? true;
    const [least, most] = [count(schema, 'minProperties', 0, path), count(schema, 'maxProperties', Infinity, path)];
    const names = [...new Set([...Object.keys(properties), ...required])];
    if (names.length === 0) {
      if (least > 1) throw refused(path, 'minProperties', 'keys that come twice count once: name the properties');
      if (others === false || most === 0) return sequence(literal('{'), space, literal('}'));
      const content =
        others === true
          ? value
          : rule(`schema ${path}/additionalProperties`, () =>
              this.fragment(others, `${path}/additionalProperties`, refs),
            );
      return list('{', member(string, content), least, most, '}');
    }
    if (least > required.length || most < names.length)
      throw refused(
        path,
        least > required.length ? 'minProperties' : 'maxProperties',
        'make properties required, or leave some out',
      );
    const members = names.map((name) => {
      const own = Object.hasOwn(properties, name) ? properties[name] : others;
      const content = this.#orNothing(own, `${path}/properties/${name}`, refs, required.includes(name));
      return (
        content && { isRequired: required.includes(name), fragment: member(literal(JSON.stringify(name)), content) }
      );
    });
    return objectOf(members.filter((one) => one !== undefined));
  }

  /** A property that may be left out and that nothing fits is left out. */
  #orNothing(schema: unknown, path: string, refs: number, isRequired: boolean): Fragment | undefined {
    return schema === false && !isRequired ? undefined : this.fragment(schema, path, refs);
  }

  #array(schema: SchemaObject, path: string, refs: number): Fragment {
    const first = (schema['prefixItems'] ?? []) as readonly unknown[];
    const items = schema['items'] ?? true;
    if (Array.isArray(items)) throw refused(path, 'items', 'a list of schemas is prefixItems now');
    const least = count(schema, 'minItems', 0, path);
    const most = Math.min(count(schema, 'maxItems', Infinity, path), items === false ? first.length : Infinity);
    if (least > most) throw refused(path, 'minItems', 'it is more than may be');
    if (schema['uniqueItems'] === true && most > 1)
      throw refused(path, 'uniqueItems', 'it cannot be held to while a text is written');
    const item =
      most > first.length ? rule(`schema ${path}/items`, () => this.fragment(items, `${path}/items`, refs)) : undefined;
    if (first.length === 0) return list('[', item ?? value, least, most, ']');
    const head = first.slice(0, most).map((one, index) => this.fragment(one, `${path}/prefixItems/${index}`, refs));
    return tuple(head, item, least, most);
  }
}

/** @param rest - what may follow the first ones */
function tuple(head: readonly Fragment[], rest: Fragment | undefined, least: number, most: number): Fragment {
  const comma = sequence(literal(','), space);
  const more = rest ? repeat(sequence(comma, rest), Math.max(0, least - head.length), most - head.length) : sequence();
  // From the last on: each is there alone where the count allows it, or with all that follow.
  const tail = head.reduceRight<Fragment>((after, item, index) => {
    const own = sequence(index > 0 ? comma : sequence(), item, after);
    return index >= least ? choice(sequence(), own) : own;
  }, more);
  return sequence(literal('['), space, tail, space, literal(']'));
}

/** Members in order, with commas between those that are there. */
function objectOf(members: readonly { readonly isRequired: boolean; readonly fragment: Fragment }[]): Fragment {
  return (network, from) => {
    const open = sequence(literal('{'), space)(network, from);
    const comma = sequence(literal(','), space);
    // Two ways through: before the first member, and behind one.
    let [before, behind]: [number | undefined, number | undefined] = [open, undefined];
    for (const { isRequired, fragment } of members) {
      const start = network.state();
      if (before !== undefined) network.empty(before, start);
      if (behind !== undefined) network.empty(comma(network, behind), start);
      const end = network.state();
      network.empty(fragment(network, start), end);
      if (isRequired) before = undefined;
      else if (behind !== undefined) network.empty(behind, end);
      behind = end;
    }
    const close = network.state();
    if (before !== undefined) network.empty(before, close);
    if (behind !== undefined) network.empty(space(network, behind), close);
    return literal('}')(network, close);
  };
}

function stringFragment(schema: SchemaObject, path: string): Fragment {
  const { pattern, format } = schema;
  const [least, most] = [count(schema, 'minLength', 0, path), count(schema, 'maxLength', Infinity, path)];
  if (least > most) throw refused(path, 'minLength', 'it is more than maxLength');
  const isBounded = least > 0 || most < Infinity;
  const expression = pattern ?? formatOf(format);
  if (expression === undefined) return isBounded ? quoted(repeat(character, least, most)) : string;
  if (isBounded)
    throw refused(
      path,
      'minLength, maxLength',
      `${pattern === undefined ? 'format' : 'pattern'} stands beside it: say the length there`,
    );
  if (pattern !== undefined && formatOf(format) !== undefined)
    throw refused(path, 'format', 'pattern stands beside it');
  if (typeof expression !== 'string') throw refused(path, 'pattern', 'it is no text');
  return quoted(regexFragment(expression, stringCharacters));
}

function numberFragment(isInteger: boolean, schema: SchemaObject, path: string): Fragment {
  const bounds = boundsOf(schema, path);
  const { multipleOf } = schema;
  if (multipleOf !== undefined) {
    if (typeof multipleOf !== 'number' || !Number.isSafeInteger(multipleOf) || multipleOf < 1)
      throw refused(path, 'multipleOf', 'only whole numbers can be held to');
    return multiplesBetween(multipleOf, bounds);
  }
  if (bounds.low === -Infinity && bounds.high === Infinity) return isInteger ? integer : number;
  return isInteger ? integersBetween(bounds) : numbersBetween(bounds);
}

function boundsOf(schema: SchemaObject, path: string): Bounds {
  const bound = (key: string): number | undefined => {
    const given = schema[key];
    if (given === undefined || (typeof given === 'number' && Number.isFinite(given))) return given;
    throw refused(path, key, 'it is no number');
  };
  const step = (at: number) => Math.max(Number.MIN_VALUE, Math.abs(at) * 2 ** -52);
  const [above, below] = [bound('exclusiveMinimum'), bound('exclusiveMaximum')];
  return {
    low: Math.max(bound('minimum') ?? -Infinity, above === undefined ? -Infinity : above + step(above)),
    high: Math.min(bound('maximum') ?? Infinity, below === undefined ? Infinity : below - step(below)),
  };
}

function count(schema: SchemaObject, key: string, usual: number, path: string): number {
  const given = schema[key] ?? usual;
  if (given === usual || (typeof given === 'number' && Number.isSafeInteger(given) && given >= 0))
    return given as number;
  throw refused(path, key, 'it is no count');
}

/** Without a type, those that the keywords speak of; any, where none does. */
function impliedTypes(schema: SchemaObject): string[] {
  const spoken = Object.entries(OF_TYPE).flatMap(([name, keys]) =>
    keys.some((key) => schema[key] !== undefined) ? [name] : [],
  );
  return spoken.length > 0 ? spoken : ['object', 'array', 'string', 'number', 'boolean', 'null'];
}

export function isOfType(one: unknown, name: string): boolean {
  if (name === 'null') return one === null;
  if (name === 'array') return Array.isArray(one);
  if (name === 'object') return typeof one === 'object' && one !== null && !Array.isArray(one);
  return name === 'integer' ? Number.isInteger(one) : typeof one === name;
}

function schemas(list: unknown, path: string): readonly unknown[] {
  if (Array.isArray(list) && list.length > 0) return list as readonly unknown[];
  throw refused(path, 'the list', 'it holds no schemas');
}

function without(schema: SchemaObject, keys: ReadonlySet<string>): SchemaObject {
  return Object.fromEntries(Object.entries(schema).filter(([key]) => !keys.has(key)));
}

function defined(schema: SchemaObject): SchemaObject {
  return Object.fromEntries(Object.entries(schema).filter(([, one]) => one !== undefined));
}

function refused(path: string, keyword: string, why: string): LlmError {
  const message = `schema, ${path}: ${keyword}: ${why}`;
  return new LlmError('invalid-input', message, { name: 'schema', path, keyword });
}
