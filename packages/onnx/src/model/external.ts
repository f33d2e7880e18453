// Elements in files beside the model: the entries of TensorProto.external_data, checked before anything is read.
import { OnnxError } from '../errors.ts';
import { bytesOf } from './data-types.ts';
import type { OnnxFile } from './files.ts';
import type { TensorProto } from './types.ts';
import { wrongSize, type OnnxWeight } from './weight.ts';

/** TensorProto.DataLocation: the elements are in another file. */
export const EXTERNAL = 1;

/** Where in which file beside the model. */
export interface ExternalPlace {
  readonly location: string;
  readonly offset: number;
  /** Absent: up to the file's end. */
  readonly length: number | undefined;
}

/** The entries of external_data. @throws OnnxError `invalid-model` for entries that say nothing or point out of the model's folder */
export function externalPlace(tensor: TensorProto): ExternalPlace {
  const entries = new Map(tensor.externalData.map(({ key, value }) => [key, value]));
  const location = entries.get('location') ?? '';
  const parts = location.split(/[/\\]/);
  if (location === '' || location.startsWith('/') || /^[a-z]:/i.test(location) || parts.includes('..')) {
    const message = `tensor ${tensor.name}: external data at ${JSON.stringify(location)}, expected a file in the model's folder`;
    throw new OnnxError('invalid-model', message, { tensor: tensor.name, location });
  }
  const number = (key: string): number | undefined => {
    const text = entries.get(key);
    if (text === undefined || text === '') return undefined;
    const value = Number(text);
    if (/^\d+$/.test(text) && Number.isSafeInteger(value)) return value;
    const message = `tensor ${tensor.name}: ${key} ${JSON.stringify(text)} of its external data is no number of bytes`;
    throw new OnnxError('invalid-model', message, { tensor: tensor.name, key, value: text });
  };
  return {
    location: parts.filter((part) => part !== '.').join('/'),
    offset: number('offset') ?? 0,
    length: number('length'),
  };
}

/** A weight in a file beside the model. @throws OnnxError `invalid-model`, `missing-data` where file or bytes are not there */
export function externalWeight(
  tensor: TensorProto,
  place: ExternalPlace,
  file: OnnxFile | undefined,
  location: string,
): OnnxWeight {
  if (!file) {
    const message = `tensor ${tensor.name} is in ${place.location}, which is not in ${location}: put the file beside the model`;
    throw new OnnxError('missing-data', message, { tensor: tensor.name, file: place.location });
  }
  const expected = bytesOf(tensor.dataType, tensor.dims, tensor.name);
  if (place.length !== undefined && place.length !== expected) throw wrongSize(tensor, place.length, expected);
  if (place.offset + expected > file.size) {
    const message = `tensor ${tensor.name} ends at byte ${place.offset + expected} of ${file.name}, which has ${file.size}: is the file cut short?`;
    throw new OnnxError('missing-data', message, { tensor: tensor.name, file: file.name, size: file.size });
  }
  return rangeWeight(file, place.offset, expected);
}

/** A stretch of a file as a weight. */
export function rangeWeight(file: OnnxFile, start: number, byteLength: number): OnnxWeight {
  return {
    byteLength,
    read: (offset = 0, length = byteLength - offset) => file.read(start + offset, length),
  };
}
