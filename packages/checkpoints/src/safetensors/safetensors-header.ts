// The header of a safetensors file: parsing with every rule of the format checked, and writing.
import { CheckpointError } from '../errors.ts';
import { parseJson } from '../json.ts';
import type { JsonFlaw } from '../json.ts';
import { brief, quoted } from '../quote.ts';
import { DTYPE_BYTES } from './dtypes.ts';
import type { SafetensorsDtype } from './dtypes.ts';

/** The format's own limit on the header, bytes. */
export const MAX_HEADER_BYTES = 100_000_000;

/** How a safetensors file can be damaged; `details.damage` of the `invalid-safetensors` error. */
export type SafetensorsDamage =
  | 'truncated'
  | 'header-too-large'
  | 'header-not-utf8'
  | 'header-not-json'
  | 'header-not-object'
  | 'header-too-deep'
  | 'duplicate-name'
  | 'duplicate-key'
  | 'invalid-metadata'
  | 'invalid-entry'
  | 'unknown-dtype'
  | 'invalid-shape'
  | 'invalid-offsets'
  | 'size-mismatch'
  | 'overlap-or-gap'
  | 'trailing-bytes';

/** One tensor of a file; offsets are relative to the data section. */
export interface TensorInfo {
  readonly name: string;
  readonly dtype: SafetensorsDtype;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

/** A parsed header. */
export interface SafetensorsHeader {
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  readonly metadata: Readonly<Record<string, string>>;
}

/** Error of a damaged file. */
export function damaged(
  damage: SafetensorsDamage,
  message: string,
  details: Record<string, unknown> = {},
): CheckpointError {
  return new CheckpointError('invalid-safetensors', message, { damage, ...details });
}

/** Reads the length field. @throws CheckpointError when the length cannot be right. */
export function headerLength(prefix: Uint8Array, fileSize: number, name: string): number {
  if (fileSize < 8 || prefix.byteLength < 8) {
    throw damaged('truncated', `${name} has ${fileSize} bytes: a safetensors file has at least 8`, { name, fileSize });
  }
  const length = new DataView(prefix.buffer, prefix.byteOffset, 8).getBigUint64(0, true);
  if (length > BigInt(MAX_HEADER_BYTES)) {
    throw damaged(
      'header-too-large',
      `${name} declares a header of ${length} bytes, the limit is ${MAX_HEADER_BYTES}`,
      {
        name,
        length: length.toString(),
      },
    );
  }
  if (8 + Number(length) > fileSize) {
    throw damaged('truncated', `${name} declares a header of ${length} bytes but has only ${fileSize} bytes`, {
      name,
      length: Number(length),
      fileSize,
    });
  }
  return Number(length);
}

/** Parses and checks the header text. `dataBytes` is the size of the section after it. */
export function parseHeader(bytes: Uint8Array, dataBytes: number, name: string): SafetensorsHeader {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw damaged('header-not-utf8', `the header of ${name} is not UTF-8`, { name });
  }
  if (text.startsWith('\uFEFF')) {
    throw damaged('header-not-object', `the header of ${name} begins with a byte order mark, not with {`, { name });
  }
  const { value: json, ...parsed } = parseJson(text, true);
  if ('flaw' in parsed) throw flawed(parsed.flaw, name);
  if (!isRecord(json) || !text.startsWith('{')) {
    throw damaged('header-not-object', `the header of ${name} is not a JSON object`, { name });
  }
  const tensors = new Map<string, TensorInfo>();
  let metadata: Record<string, string> = {};
  for (const [key, value] of Object.entries(json)) {
    if (key === '__metadata__') metadata = parseMetadata(value, name);
    else tensors.set(key, parseEntry(key, value, dataBytes, name));
  }
  requireContiguous([...tensors.values()], dataBytes, name);
  return { tensors, metadata };
}

/** Header bytes (length field included), padded with spaces to 8 bytes. */
export function encodeHeader(tensors: readonly TensorInfo[], metadata: Readonly<Record<string, string>>): Uint8Array {
  const entries: [string, unknown][] = tensors.map(({ name, dtype, shape, begin, end }) => [
    name,
    { dtype, shape, data_offsets: [begin, end] },
  ]);
  if (Object.keys(metadata).length > 0) entries.unshift(['__metadata__', metadata]);
  // JSON.stringify of a Map-like list by hand keeps the order even for names that look like integers.
  const text = `{${entries.map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`).join(',')}}`;
  const body = new TextEncoder().encode(text);
  const padded = Math.ceil(body.byteLength / 8) * 8;
  const out = new Uint8Array(8 + padded).fill(0x20);
  new DataView(out.buffer).setBigUint64(0, BigInt(padded), true);
  out.set(body, 8);
  return out;
}

function flawed(flaw: JsonFlaw, name: string): CheckpointError {
  const { kind, key, depth, reason, cause } = flaw;
  const inside = depth === 1 ? 'duplicate-name' : 'duplicate-key';
  const damage = { depth: 'header-too-deep', syntax: 'header-not-json', duplicate: inside } as const;
  const details = { damage: damage[kind], name, ...(key !== undefined && { tensor: key }) };
  return new CheckpointError('invalid-safetensors', `the header of ${name} ${reason}`, details, { cause });
}

function parseMetadata(value: unknown, name: string): Record<string, string> {
  if (!isRecord(value) || Object.values(value).some((entry) => typeof entry !== 'string')) {
    throw damaged('invalid-metadata', `__metadata__ of ${name} must map strings to strings`, { name });
  }
  return value as Record<string, string>;
}

function parseEntry(tensor: string, value: unknown, dataBytes: number, name: string): TensorInfo {
  if (!isRecord(value))
    throw damaged('invalid-entry', `${name}: the entry of ${brief(tensor)} is no object`, { name, tensor });
  const { dtype, shape, data_offsets: offsets } = value;
  if (typeof dtype !== 'string' || !Object.hasOwn(DTYPE_BYTES, dtype)) {
    throw damaged('unknown-dtype', `${name}: ${brief(tensor)} has the unknown dtype ${quoted(dtype)}`, {
      name,
      tensor,
      dtype,
    });
  }
  if (!Array.isArray(shape) || !shape.every(isCount)) {
    throw damaged('invalid-shape', `${name}: ${brief(tensor)} has the shape ${quoted(shape)}`, {
      name,
      tensor,
      shape,
    });
  }
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isCount)) {
    throw damaged('invalid-offsets', `${name}: ${brief(tensor)} has the offsets ${quoted(offsets)}`, { name, tensor });
  }
  const [begin, end] = offsets as [number, number];
  if (begin > end) {
    throw damaged('invalid-offsets', `${name}: ${brief(tensor)} ends (${end}) before it begins (${begin})`, {
      name,
      tensor,
    });
  }
  if (end > dataBytes) {
    throw damaged(
      'truncated',
      `${name}: ${brief(tensor)} ends at byte ${end} but the data section has ${dataBytes} bytes`,
      {
        name,
        tensor,
        end,
        dataBytes,
      },
    );
  }
  const known = dtype as SafetensorsDtype;
  const expected = (shape as number[]).reduce((size, extent) => size * extent, DTYPE_BYTES[known]);
  if (expected !== end - begin) {
    throw damaged(
      'size-mismatch',
      `${name}: ${brief(tensor)} ${known} ${quoted(shape)} needs ${expected} bytes, its offsets span ${end - begin}`,
      { name, tensor, expected, actual: end - begin },
    );
  }
  return { name: tensor, dtype: known, shape: shape as number[], begin, end };
}

function requireContiguous(tensors: TensorInfo[], dataBytes: number, name: string): void {
  let position = 0;
  for (const { name: tensor, begin, end } of tensors.sort((a, b) => a.begin - b.begin || a.end - b.end)) {
    if (begin !== position) {
      throw damaged(
        'overlap-or-gap',
        `${name}: ${brief(tensor)} begins at byte ${begin}, the tensor before it ends at ${position}`,
        { name, tensor, begin, position },
      );
    }
    position = end;
  }
  if (position !== dataBytes) {
    throw damaged('trailing-bytes', `${name} has ${dataBytes - position} bytes that belong to no tensor`, {
      name,
      used: position,
      dataBytes,
    });
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
