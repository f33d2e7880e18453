// Feeds against what the graph declares: types, shapes and token ids before a call, caches of numbers before they are taken over.
import { OnnxError, shown } from '../errors.ts';
import type { DecoderInputs } from '../graph/feeds.ts';
import type { Axis } from '../graph/site.ts';
import type { OrtMetadata, OrtTensor } from '../runtime/ort.ts';
import type { Feeds } from './call.ts';

/** A cache of numbers may have either. */
const FLOATS = new Set(['float16', 'float32']);

/** What a graph takes. */
export interface FeedForm {
  readonly metadata: readonly OrtMetadata[];
  readonly inputs: DecoderInputs;
  /** Inputs that hold caches. */
  readonly caches: ReadonlySet<string>;
  /** Token ids are below it; undefined: the graph does not say. */
  readonly vocabulary: number | undefined;
}

/** @throws OnnxError `invalid-option` for tensors that are missing, of other types or shapes, disposed, or hold ids of no token */
export function checkFeeds(feeds: Feeds, { metadata, inputs, caches, vocabulary }: FeedForm): void {
  if (Object(feeds) !== feeds) {
    throw new OnnxError('invalid-option', `the feeds are ${shown(feeds)}: give an object of tensors by name`, {});
  }
  const missing = metadata.map(({ name }) => name).filter((name) => !feeds[name]);
  if (missing.length > 0) throw new OnnxError('invalid-option', `the feeds lack ${missing.join(', ')}`, { missing });
  for (const { name, type, shape } of metadata) {
    const given: { readonly type?: unknown; readonly dims?: unknown; readonly location?: unknown } = feeds[name]!;
    if (!Array.isArray(given.dims) || typeof given.type !== 'string') {
      throw new OnnxError('invalid-option', `${name} is no tensor: give one of onnxruntime's`, { name });
    }
    const isTaken = given.type === type || (caches.has(name) && FLOATS.has(type) && FLOATS.has(given.type));
    if (!isTaken)
      throw new OnnxError('invalid-option', `${name} is of ${given.type}: give ${type}`, { name, type: given.type });
    if (given.location === 'none') {
      throw new OnnxError('invalid-option', `${name} is a tensor that was disposed: give one that holds numbers`, {
        name,
      });
    }
    checkShape(name, given.dims as number[], shape);
  }
  checkPositions(feeds, inputs);
  if (vocabulary !== undefined) checkIds(inputs.tokens, feeds[inputs.tokens]!, vocabulary);
}

/** As many axes as the graph declares; sizes that it names by numbers are onnxruntime's to check. */
function checkShape(name: string, dims: readonly number[], shape: readonly (number | string)[]): void {
  if (shape.length === 0 || dims.length === shape.length) return;
  const message = `${name} is [${dims.join(', ')}]: give ${shape.length} axes, [${shape.join(', ')}]`;
  throw new OnnxError('invalid-option', message, { name, dims, expected: shape });
}

/** A position for each token, of all texts or of each. */
function checkPositions(feeds: Feeds, { tokens, positions }: DecoderInputs): void {
  const given = positions === undefined ? undefined : feeds[positions]?.dims;
  if (positions === undefined || given?.length !== 2) return;
  const [batch, count] = feeds[tokens]!.dims;
  if (given[1] === count && (given[0] === batch || given[0] === 1)) return;
  const message = `${positions} is [${given.join(', ')}]: give [${batch}, ${count}], a position for each of ${tokens}`;
  throw new OnnxError('invalid-option', message, { name: positions, dims: given });
}

/** onnxruntime takes negative ids from the table's end, and on WebGPU reads whatever lies behind it. */
function checkIds(name: string, { data, dims, location }: OrtTensor, vocabulary: number): void {
  if (location !== 'cpu' || !(data instanceof BigInt64Array || data instanceof Int32Array)) return;
  for (let at = 0; at < data.length; at++) {
    const id = Number(data[at]);
    if (id >= 0 && id < vocabulary) continue;
    const columns = dims.at(-1)!;
    const message = `${name}[${Math.floor(at / columns)}, ${at % columns}] is ${id}: give token ids from 0 to ${vocabulary - 1}`;
    throw new OnnxError('invalid-option', message, { name, at, id, vocabulary });
  }
}

/** @throws OnnxError `invalid-option` for a cache of numbers of another shape */
export function checkCacheDims(
  name: string,
  dims: readonly number[],
  axes: readonly Axis[],
  sizes: Readonly<Record<Axis, number>>,
): void {
  const expected = axes.map((axis) => sizes[axis]);
  const isRight = dims.length === axes.length && expected.every((size, i) => dims[i] === size);
  if (isRight) return;
  const message = `${name} is [${dims.join(', ')}]: give [${expected.join(', ')}], as the other caches and the model have it`;
  throw new OnnxError('invalid-option', message, { name, dims, expected });
}
