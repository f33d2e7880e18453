// Writes small GGUF files (version 3, little endian) for tests.
import { GGUF_TYPES } from '../../src/gguf/types.ts';
import type { GgufDtype } from '../../src/gguf/types.ts';

/** A value with its type: `['u32', 7]`, `['str[]', ['a']]`. */
export type Typed =
  | readonly ['u32' | 'f32' | 'u64', number]
  | readonly ['bool', boolean]
  | readonly ['str', string]
  | readonly ['str[]', readonly string[]]
  | readonly ['f32[]' | 'i32[]' | 'u32[]', readonly number[]];

export interface GgufTensor {
  readonly name: string;
  /** Row-major, outermost first. */
  readonly shape: readonly number[];
  /** Name or number of the type. */
  readonly dtype: GgufDtype | number;
  readonly bytes: Uint8Array;
}

const TYPE_IDS = { u32: 4, i32: 5, f32: 6, bool: 7, str: 8, array: 9, u64: 10 } as const;

class Writer {
  readonly #bytes: number[] = [];
  get length() {
    return this.#bytes.length;
  }
  push(...bytes: number[]) {
    this.#bytes.push(...bytes);
  }
  number(kind: 'u32' | 'i32' | 'f32' | 'u64', value: number) {
    const view = new DataView(new ArrayBuffer(kind === 'u64' ? 8 : 4));
    if (kind === 'u64') view.setBigUint64(0, BigInt(value), true);
    else if (kind === 'f32') view.setFloat32(0, value, true);
    else view.setInt32(0, value | 0, true);
    for (const byte of new Uint8Array(view.buffer)) this.#bytes.push(byte);
  }
  text(value: string) {
    const bytes = new TextEncoder().encode(value);
    this.number('u64', bytes.length);
    for (const byte of bytes) this.push(byte);
  }
  pad(alignment: number) {
    while (this.length % alignment !== 0) this.push(0);
  }
  bytes() {
    return new Uint8Array(this.#bytes);
  }
}

function writeValue(out: Writer, [type, value]: Typed): void {
  if (type === 'str' || type === 'bool') {
    out.number('u32', TYPE_IDS[type]);
    if (type === 'str') out.text(value);
    else out.push(value ? 1 : 0);
  } else if (type === 'str[]') {
    out.number('u32', TYPE_IDS.array);
    out.number('u32', TYPE_IDS.str);
    out.number('u64', value.length);
    for (const text of value) out.text(text);
  } else if (type === 'f32[]' || type === 'i32[]' || type === 'u32[]') {
    const item = type.slice(0, 3) as 'f32' | 'i32' | 'u32';
    out.number('u32', TYPE_IDS.array);
    out.number('u32', TYPE_IDS[item]);
    out.number('u64', value.length);
    for (const number of value) out.number(item, number);
  } else {
    out.number('u32', TYPE_IDS[type]);
    out.number(type, value as number);
  }
}

/** The file. */
export function writeGguf(metadata: Readonly<Record<string, Typed>>, tensors: readonly GgufTensor[] = []): Uint8Array {
  const out = new Writer();
  out.push(0x47, 0x47, 0x55, 0x46);
  out.number('u32', 3);
  out.number('u64', tensors.length);
  out.number('u64', Object.keys(metadata).length);
  for (const [key, value] of Object.entries(metadata)) {
    out.text(key);
    writeValue(out, value);
  }
  let offset = 0;
  for (const { name, shape, dtype, bytes } of tensors) {
    out.text(name);
    out.number('u32', shape.length);
    for (const extent of shape.toReversed()) out.number('u64', extent);
    out.number('u32', typeof dtype === 'number' ? dtype : GGUF_TYPES[dtype].id);
    out.number('u64', offset);
    offset += Math.ceil(bytes.length / 32) * 32;
  }
  out.pad(32);
  for (const { bytes } of tensors) {
    for (const byte of bytes) out.push(byte);
    out.pad(32);
  }
  return out.bytes();
}

/** A tensor of float32. */
export function floats(name: string, shape: readonly number[], values: ArrayLike<number>): GgufTensor {
  return { name, shape, dtype: 'F32', bytes: new Uint8Array(Float32Array.from(values).buffer) };
}
