// Reads the numbers, strings and arrays of a GGUF header from the bytes that are there, and says when it needs more.

/** Thrown when the bytes at hand end inside a value. */
export class NeedsMoreBytes extends Error {}

/** Thrown for a length that the whole file has no room for. */
export class BeyondFile extends Error {}

/** Element types of metadata (`enum gguf_metadata_value_type`) with their bytes; strings and arrays have none of their own. */
const KINDS = ['u8', 'i8', 'u16', 'i16', 'u32', 'i32', 'f32', 'bool', 'string', 'array', 'u64', 'i64', 'f64'] as const;
const BYTES = { u8: 1, i8: 1, u16: 2, i16: 2, u32: 4, i32: 4, f32: 4, bool: 1, u64: 8, i64: 8, f64: 8 } as const;
const DEEPEST = 4;

/** A value of the metadata; 64-bit integers as numbers. */
export type GgufValue = number | string | boolean | readonly GgufValue[];

const utf8 = new TextDecoder();

/** A cursor over the first bytes of a file, little endian. */
export class HeaderReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #fileSize: number;
  position: number;

  /** @param fileSize - of the whole file: what cannot be in it is not waited for */
  constructor(bytes: Uint8Array, position: number, fileSize: number) {
    this.#bytes = bytes;
    this.#fileSize = fileSize;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.position = position;
  }

  u32(): number {
    return this.#view.getUint32(this.#take(4), true);
  }

  /** A count or an offset; beyond 2^53 it is not exact, and larger than every file. */
  u64(): number {
    return Number(this.#view.getBigUint64(this.#take(8), true));
  }

  string(): string {
    const length = this.u64();
    const start = this.#take(length);
    return shortText(this.#bytes, start, length) ?? utf8.decode(this.#bytes.subarray(start, start + length));
  }

  /** A value with its type before it. @throws Error for types that there are not */
  value(): GgufValue {
    return this.#typed(this.#kind(), 0);
  }

  #kind(): (typeof KINDS)[number] {
    const id = this.u32();
    const kind = KINDS[id];
    if (!kind) throw new Error(`metadata of type ${id}`);
    return kind;
  }

  #typed(kind: (typeof KINDS)[number], depth: number): GgufValue {
    if (kind === 'string') return this.string();
    if (kind !== 'array') return this.#scalar(kind);
    if (depth >= DEEPEST) throw new Error(`arrays nested deeper than ${DEEPEST}`);
    const element = this.#kind();
    const length = this.u64();
    // What cannot be in the file, or is not there yet, is not allocated.
    const bytes = length * leastBytes(element);
    if (!(bytes <= this.#fileSize - this.position)) throw new BeyondFile(`an array of ${length} elements`);
    if (bytes > this.#bytes.byteLength - this.position) throw new NeedsMoreBytes();
    const values: GgufValue[] = [];
    for (let i = 0; i < length; i++) values.push(this.#typed(element, depth + 1));
    return values;
  }

  #scalar(kind: keyof typeof BYTES): number | boolean {
    const view = this.#view;
    const at = this.#take(BYTES[kind]);
    switch (kind) {
      case 'u8':
        return view.getUint8(at);
      case 'i8':
        return view.getInt8(at);
      case 'u16':
        return view.getUint16(at, true);
      case 'i16':
        return view.getInt16(at, true);
      case 'u32':
        return view.getUint32(at, true);
      case 'i32':
        return view.getInt32(at, true);
      case 'f32':
        return view.getFloat32(at, true);
      case 'bool':
        return view.getUint8(at) !== 0;
      case 'u64':
        return Number(view.getBigUint64(at, true));
      case 'i64':
        return Number(view.getBigInt64(at, true));
      case 'f64':
        return view.getFloat64(at, true);
    }
  }

  #take(length: number): number {
    const start = this.position;
    if (!(start + length <= this.#fileSize)) throw new BeyondFile(`a value of ${length} bytes`);
    if (!(start + length <= this.#bytes.byteLength)) throw new NeedsMoreBytes();
    this.position = start + length;
    return start;
  }
}

/** Bytes of an element at least. */
function leastBytes(kind: (typeof KINDS)[number]): number {
  if (kind === 'string') return 8;
  return kind === 'array' ? 12 : BYTES[kind];
}

/** Short strings of characters below U+0800 without a decoder: vocabularies have a quarter of a million of them. */
function shortText(bytes: Uint8Array, start: number, length: number): string | undefined {
  if (length > 24) return undefined;
  let text = '';
  for (let i = start; i < start + length; i++) {
    const byte = bytes[i] as number;
    if (byte < 0x80) text += String.fromCharCode(byte);
    else {
      const next = i + 1 < start + length ? (bytes[++i] as number) : 0;
      if (byte < 0xc2 || byte > 0xdf || next >> 6 !== 2) return undefined;
      text += String.fromCharCode(((byte & 31) << 6) | (next & 63));
    }
  }
  return text;
}
