// Several schemas that must hold at once as one (JSON Schema 2020-12, section 10.2.1).
import { LlmError } from '../errors.ts';

/** An object of a JSON schema. */
export type SchemaObject = Readonly<Record<string, unknown>>;

const isObject = (value: unknown): value is SchemaObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const asObject = (value: unknown): SchemaObject => (isObject(value) ? value : {});

/** Keywords of which the narrower bound holds. */
const LEAST = new Set(['minimum', 'exclusiveMinimum', 'minLength', 'minItems', 'minProperties']);
const MOST = new Set(['maximum', 'exclusiveMaximum', 'maxLength', 'maxItems', 'maxProperties']);

/** @throws LlmError `invalid-input` for what cannot be one */
export function mergeSchemas(a: unknown, b: unknown): unknown {
  if (a === true) return b;
  if (b === true) return a;
  if (a === false || b === false) return false;
  const [one, other] = [asObject(a), asObject(b)];
  const merged: Record<string, unknown> = { ...one };
  for (const [key, value] of Object.entries(other)) {
    const own = one[key];
    if (own === undefined || JSON.stringify(own) === JSON.stringify(value)) merged[key] = value;
    else merged[key] = both(key, own, value);
  }
  if (one['properties'] !== undefined || other['properties'] !== undefined)
    merged['properties'] = properties(one, other);
  if (one['prefixItems'] !== undefined || other['prefixItems'] !== undefined)
    merged['prefixItems'] = prefixItems(one, other);
  return merged;
}

function both(key: string, a: unknown, b: unknown): unknown {
  if (LEAST.has(key)) return Math.max(a as number, b as number);
  if (MOST.has(key)) return Math.min(a as number, b as number);
  switch (key) {
    case 'type': {
      const [one, other] = [types(a), types(b)];
      const shared = one.filter((type) => other.includes(type));
      if (one.includes('integer') !== other.includes('integer') && [...one, ...other].includes('number'))
        shared.push('integer');
      return [...new Set(shared)];
    }
    case 'enum':
      return (a as unknown[]).filter((value) =>
        (b as unknown[]).some((one) => JSON.stringify(one) === JSON.stringify(value)),
      );
    case 'required':
      return [...new Set([...(a as string[]), ...(b as string[])])];
    // Put together below.
    case 'properties':
    case 'prefixItems':
      return a;
    case 'items':
    case 'additionalProperties':
      return mergeSchemas(a, b);
    case 'allOf':
      return [...(a as unknown[]), ...(b as unknown[])];
    case '$defs':
    case 'definitions':
      return { ...(a as object), ...(b as object) };
    case 'title':
    case 'description':
    case 'default':
    case 'examples':
    case '$comment':
    case '$schema':
    case '$id':
      return a;
    default:
      throw new LlmError('invalid-input', `schema: two values of ${key} that hold at once cannot be held to`, {
        name: 'schema',
        keyword: key,
      });
  }
}

/** A property of one alone must still be one that the other lets be. */
function properties(a: SchemaObject, b: SchemaObject): Record<string, unknown> {
  const [one, other] = [asObject(a['properties']), asObject(b['properties'])];
  const all = [...new Set([...Object.keys(one), ...Object.keys(other)])];
  return Object.fromEntries(
    all.map((name) => {
      const mine = Object.hasOwn(one, name) ? one[name] : (a['additionalProperties'] ?? true);
      const theirs = Object.hasOwn(other, name) ? other[name] : (b['additionalProperties'] ?? true);
      return [name, mergeSchemas(mine, theirs)];
    }),
  );
}

/** An item that has no schema of its own has that of all others. */
function prefixItems(a: SchemaObject, b: SchemaObject): unknown[] {
  const [one, other] = [(a['prefixItems'] ?? []) as unknown[], (b['prefixItems'] ?? []) as unknown[]];
  return Array.from({ length: Math.max(one.length, other.length) }, (_, at) =>
    mergeSchemas(
      at < one.length ? one[at] : (a['items'] ?? true),
      at < other.length ? other[at] : (b['items'] ?? true),
    ),
  );
}

export function types(value: unknown): string[] {
  return (Array.isArray(value) ? value : [value]) as string[];
}
