// Whether two schemas have no value in common, where that is plain to see.
import { types, type SchemaObject } from './schema-merge.ts';

/** False where it is not known. */
export function areApart(a: unknown, b: unknown): boolean {
  if (a === false || b === false) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  const [one, other] = [a as SchemaObject, b as SchemaObject];
  const [mine, theirs] = [constantsOf(one), constantsOf(other)];
  if (mine && theirs)
    return !mine.some((value) => theirs.some((them) => JSON.stringify(them) === JSON.stringify(value)));
  const [ownTypes, otherTypes] = [kindsOf(one), kindsOf(other)];
  if (ownTypes && otherTypes && !ownTypes.some((type) => otherTypes.includes(type))) return true;
  const isObject = (kinds: readonly string[] | undefined) => kinds?.length === 1 && kinds[0] === 'object';
  if (!isObject(ownTypes) || !isObject(otherTypes)) return false;
  // A property that both must have, of values that are apart.
  const required = ((one['required'] ?? []) as string[]).filter((name) =>
    ((other['required'] ?? []) as string[]).includes(name),
  );
  const propertyOf = (schema: SchemaObject, name: string): unknown => Object(schema['properties'])[name];
  return required.some((name) => areApart(propertyOf(one, name), propertyOf(other, name)));
}

function constantsOf(schema: SchemaObject): readonly unknown[] | undefined {
  if (schema['const'] !== undefined) return [schema['const']];
  return Array.isArray(schema['enum']) ? (schema['enum'] as unknown[]) : undefined;
}

/** Types of JSON's values; integers are numbers. */
function kindsOf(schema: SchemaObject): string[] | undefined {
  const constants = constantsOf(schema);
  if (constants)
    return constants.map((value) => (value === null ? 'null' : Array.isArray(value) ? 'array' : typeof value));
  if (schema['type'] === undefined || schema['nullable'] === true) return undefined;
  return types(schema['type']).map((type) => (type === 'integer' ? 'number' : type));
}
