// Fields of config.json with one entry a layer: types of attention, and lists.
import { CheckpointError } from '../errors.ts';
import { quoted } from '../quote.ts';
import type { RawConfig } from './hf-config.ts';

/**
 * Windows of layers by `layer_types` (`sliding_attention` or `full_attention`), or by a rule where a configuration has none.
 *
 * @param size - the window in tokens of layers that slide; 0 where none does
 * @param slides - the rule of configurations without `layer_types`
 * @returns one window a layer, 0 = full; undefined when no layer slides
 * @throws CheckpointError `invalid-config` for another number of types, `unsupported-model` for another type
 */
export function layerWindows(
  raw: RawConfig,
  layers: number,
  size: number,
  slides: (layer: number) => boolean,
): readonly number[] | undefined {
  if (size === 0) return undefined;
  const types: unknown = raw['layer_types'] ?? undefined;
  if (types !== undefined && (!Array.isArray(types) || types.length < layers)) {
    throw new CheckpointError('invalid-config', `config.json: layer_types must list ${layers} types`, { value: types });
  }
  const windows = Array.from({ length: layers }, (_, layer) => {
    const type: unknown = types?.[layer];
    if (type === undefined) return slides(layer) ? size : 0;
    if (type === 'sliding_attention') return size;
    if (type === 'full_attention') return 0;
    throw new CheckpointError('unsupported-model', `config.json: layer type ${quoted(type)} is not supported`, {
      layer,
      type,
    });
  });
  return windows.some((window) => window > 0) ? windows : undefined;
}

/** A list with one entry a layer, or undefined when absent or null. @throws CheckpointError `invalid-config` when it is too short */
export function layerList(raw: RawConfig, key: string, layers: number): readonly unknown[] | undefined {
  const value = raw[key];
  if (value === undefined || value === null) return undefined;
  if (Array.isArray(value) && value.length >= layers) return value.slice(0, layers);
  throw new CheckpointError('invalid-config', `config.json: ${key} must list one entry for each of ${layers} layers`, {
    key,
    value,
  });
}
