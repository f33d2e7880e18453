// Plain data with typed arrays in it, as JSON and arrays beside, and back.
import { LlmError } from '../errors.ts';

const ARRAYS = { Uint8Array, Int32Array, Uint32Array, Float32Array, Float64Array, Uint16Array } as const;
type Name = keyof typeof ARRAYS;

/** Stands for what JSON has no word for. */
const MARK = '$';

/** @returns JSON, and the arrays that it names by number, as bytes */
export function toPlain(value: unknown): { readonly json: string; readonly arrays: Uint8Array[] } {
  const arrays: Uint8Array[] = [];
  const json = JSON.stringify(value, (_, held: unknown) => {
    if (typeof held === 'number' && !Number.isFinite(held)) return { [MARK]: String(held) };
    if (!ArrayBuffer.isView(held)) return held;
    const name = held.constructor.name as Name;
    if (!Object.hasOwn(ARRAYS, name)) throw new LlmError('internal', `${name} is not saved`, { name });
    arrays.push(new Uint8Array(held.buffer, held.byteOffset, held.byteLength));
    return { [MARK]: name, at: arrays.length - 1 };
  });
  return { json, arrays };
}

/** @throws SyntaxError, RangeError, TypeError for what {@link toPlain} did not give */
export function fromPlain(json: string, arrays: readonly Uint8Array[]): unknown {
  return JSON.parse(json, (_, held: unknown) => {
    const mark = (Object(held) as Record<string, unknown>)[MARK];
    if (typeof mark !== 'string') return held;
    if (!Object.hasOwn(ARRAYS, mark)) return Number(mark);
    const bytes = arrays[(held as { readonly at: number }).at];
    if (!bytes) throw new RangeError('an array is missing');
    return new ARRAYS[mark as Name](bytes.slice().buffer);
  });
}
