// Feeds against what the graph declares: types and names before a call, caches of numbers before they are taken over.
import { OnnxError, shown } from '../errors.ts';
import type { Axis } from '../graph/site.ts';
import type { OrtMetadata } from '../runtime/ort.ts';
import type { Feeds } from './call.ts';

/** A cache of numbers may have either. */
const FLOATS = new Set(['float16', 'float32']);

/** @param caches - inputs that hold caches @throws OnnxError `invalid-option` for tensors that are missing, or of other types */
export function checkFeeds(feeds: Feeds, inputs: readonly OrtMetadata[], caches: ReadonlySet<string>): void {
  if (Object(feeds) !== feeds) {
    throw new OnnxError('invalid-option', `the feeds are ${shown(feeds)}: give an object of tensors by name`, {});
  }
  const missing = inputs.map(({ name }) => name).filter((name) => !feeds[name]);
  if (missing.length > 0) throw new OnnxError('invalid-option', `the feeds lack ${missing.join(', ')}`, { missing });
  for (const { name, type } of inputs) {
    const given: { readonly type?: unknown; readonly dims?: unknown } = feeds[name]!;
    if (!Array.isArray(given.dims) || typeof given.type !== 'string') {
      throw new OnnxError('invalid-option', `${name} is no tensor: give one of onnxruntime's`, { name });
    }
    const isTaken = given.type === type || (caches.has(name) && FLOATS.has(type) && FLOATS.has(given.type));
    if (isTaken) continue;
    throw new OnnxError('invalid-option', `${name} is of ${given.type}: give ${type}`, { name, type: given.type });
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
