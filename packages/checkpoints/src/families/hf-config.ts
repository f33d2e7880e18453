// Reading Hugging Face config.json fields with defaults and typed errors; the fields that all families share.
import { CheckpointError } from '../errors.ts';
import { quoted } from '../quote.ts';
import type { Activation, HeadKind, ModelConfig } from '../model/config.ts';

/** config.json as parsed. */
export type RawConfig = Readonly<Record<string, unknown>>;

/** Key of config.json under which an extraction with unequal layers stores per-layer widths. */
export const ELASTIC_KEY = 'instatune_layers';

/** A number field. @throws CheckpointError `invalid-config` when absent (without default) or no finite number. */
export function numberField(raw: RawConfig, key: string, fallback?: number): number {
  const value = raw[key] ?? fallback;
  if (typeof value !== 'number' || !Number.isFinite(value)) {
    throw new CheckpointError('invalid-config', `config.json: ${key} is ${quoted(raw[key])}, expected a number`, {
      key,
      value: raw[key],
    });
  }
  return value;
}

/** A positive integer field. @throws CheckpointError `invalid-config` when absent (without default) or anything else. */
export function countField(raw: RawConfig, key: string, fallback?: number): number {
  const value = numberField(raw, key, fallback);
  if (!Number.isInteger(value) || value < 1) {
    throw new CheckpointError('invalid-config', `config.json: ${key} is ${value}, expected a positive integer`, {
      key,
      value,
    });
  }
  return value;
}

/** A boolean field. @throws CheckpointError `invalid-config` when it is anything else. */
export function booleanField(raw: RawConfig, key: string, fallback: boolean): boolean {
  const value = raw[key] ?? fallback;
  if (typeof value !== 'boolean') {
    throw new CheckpointError('invalid-config', `config.json: ${key} is ${quoted(value)}, expected a boolean`, {
      key,
      value,
    });
  }
  return value;
}

/** A nested object, or undefined when absent or null. @throws CheckpointError `invalid-config` when it is anything else. */
export function objectField(raw: RawConfig, key: string): RawConfig | undefined {
  const value = raw[key];
  if (value === undefined || value === null) return undefined;
  if (typeof value !== 'object' || Array.isArray(value)) {
    throw new CheckpointError('invalid-config', `config.json: ${key} is ${quoted(value)}, expected an object`, {
      key,
    });
  }
  return value as RawConfig;
}

/**
 * A list of `length` integers, positive or at least `least`, or undefined when absent or null.
 *
 * @throws CheckpointError `invalid-config` when it is anything else.
 */
export function countListField(
  raw: RawConfig,
  key: string,
  length: number,
  least: 0 | 1 = 1,
): readonly number[] | undefined {
  const value = raw[key];
  if (value === undefined || value === null) return undefined;
  if (!Array.isArray(value) || value.length !== length || !value.every((n) => Number.isInteger(n) && n >= least)) {
    throw new CheckpointError(
      'invalid-config',
      `config.json: ${key} must list ${length} ${least === 0 ? 'integers ≥ 0' : 'positive integers'}`,
      {
        key,
        value,
      },
    );
  }
  return value as number[];
}

/** Height and width of a field that is one number or a pair. @throws CheckpointError `invalid-config` when it is anything else. */
export function pairField(raw: RawConfig, key: string, fallback: number): readonly [number, number] {
  const value = raw[key] ?? fallback;
  if (Array.isArray(value) && value.length === 2) {
    return [countField({ [key]: value[0] }, key), countField({ [key]: value[1] }, key)];
  }
  const side = countField({ [key]: value }, key);
  return [side, side];
}

/** The first architecture name, '' when there is none. */
export function architecture(raw: RawConfig): string {
  const list = raw['architectures'];
  return Array.isArray(list) && typeof list[0] === 'string' ? list[0] : '';
}

/**
 * Head kind by the architecture's suffix (`…ForCausalLM`); bare models have none.
 *
 * @param family - the family's name, for messages
 * @param kinds - the suffixes it knows, e.g. `{ CausalLM: 'causal-lm' }`
 * @throws CheckpointError `unsupported-model` for another suffix
 */
export function headKind(raw: RawConfig, family: string, kinds: Readonly<Record<string, HeadKind>>): HeadKind {
  const name = architecture(raw);
  const task = /For([A-Za-z]+)$/.exec(name)?.[1] ?? /(LMHead)(?:Model)?$/.exec(name)?.[1];
  if (task === undefined) return 'none';
  const kind = kinds[task];
  if (kind === undefined) {
    throw new CheckpointError(
      'unsupported-model',
      `${name}: the ${family} family supports ${Object.keys(kinds).join(', ')} and the bare model`,
      { architecture: name },
    );
  }
  return kind;
}

/**
 * Number of classes: num_labels, else the size of id2label, else 2 (transformers' default).
 *
 * @throws CheckpointError `invalid-config`
 */
export function labelCount(raw: RawConfig): number {
  if (typeof raw['num_labels'] === 'number') return countField(raw, 'num_labels');
  const labels = objectField(raw, 'id2label');
  return labels ? Object.keys(labels).length : 2;
}

const ACTIVATIONS: Readonly<Record<string, Activation>> = {
  silu: 'silu',
  swish: 'silu',
  gelu: 'gelu',
  gelu_python: 'gelu',
  gelu_new: 'gelu-tanh',
  gelu_fast: 'gelu-tanh',
  gelu_pytorch_tanh: 'gelu-tanh',
  quick_gelu: 'quick-gelu',
  relu: 'relu',
  tanh: 'tanh',
};

/** Activation function by its transformers name. @throws CheckpointError `unsupported-model` for a name that is not known. */
export function activationField(raw: RawConfig, key: string, fallback: string): Activation {
  const name = raw[key] ?? fallback;
  const activation = typeof name === 'string' && Object.hasOwn(ACTIVATIONS, name) ? ACTIVATIONS[name] : undefined;
  if (activation === undefined) {
    throw new CheckpointError(
      'unsupported-model',
      `config.json: ${key} ${quoted(name)} is not supported (known: ${Object.keys(ACTIVATIONS).join(', ')})`,
      { key, activation: name },
    );
  }
  return activation;
}

/**
 * Checks that a field asks for nothing that this package does not compute.
 *
 * @throws CheckpointError `unsupported-model`
 */
export function requireValue(raw: RawConfig, key: string, allowed: readonly unknown[]): void {
  const value = raw[key];
  if (value !== undefined && value !== null && !allowed.includes(value)) {
    throw new CheckpointError(
      'unsupported-model',
      `config.json: ${key} = ${quoted(value)} is not supported (supported: ${allowed.map((a) => JSON.stringify(a)).join(', ')})`,
      { key, value },
    );
  }
}

/**
 * Widths of each layer, 0 where a block was left out, where an extraction left them unequal (`instatune_layers` of config.json), to be spread into the configuration.
 *
 * @throws CheckpointError `invalid-config`
 */
export function elasticLayers(
  raw: RawConfig,
  layers: number,
): Pick<ModelConfig, 'layerHeads' | 'layerFfn' | 'layerKvHeads'> {
  const stored = objectField(raw, ELASTIC_KEY);
  if (!stored) return {};
  const layerHeads = countListField(stored, 'heads', layers, 0);
  const layerFfn = countListField(stored, 'ffn', layers, 0);
  const layerKvHeads = countListField(stored, 'kv_heads', layers, 0);
  for (const [layer, kvHeads] of (layerKvHeads ?? []).entries()) {
    const heads = layerHeads?.[layer];
    if (heads !== undefined && (heads === 0 ? kvHeads === 0 : kvHeads > 0 && heads % kvHeads === 0)) continue;
    const message = `config.json: ${ELASTIC_KEY} gives layer ${layer} ${heads ?? 'no'} query heads and ${kvHeads} key/value heads, expected a multiple`;
    throw new CheckpointError('invalid-config', message, { layer, heads, kvHeads });
  }
  return { ...(layerHeads && { layerHeads }), ...(layerFfn && { layerFfn }), ...(layerKvHeads && { layerKvHeads }) };
}

/** Head size: stored by an extraction, else `fallback`, the family's own rule. @throws CheckpointError `invalid-config` when that is no integer. */
export function headSizeField(raw: RawConfig, fallback: number): number {
  const stored = objectField(raw, ELASTIC_KEY);
  const size = stored ? numberField(stored, 'head_size', fallback) : fallback;
  if (!Number.isInteger(size) || size < 1) {
    throw new CheckpointError('invalid-config', `head size ${size}: hidden size must be a multiple of the heads`, {
      size,
    });
  }
  return size;
}

/** Entries of a table of names for a slot and its tensor, weight and bias. */
export function weightAndBias(slot: string, tensor: string): [string, string][] {
  return [
    [`${slot}.weight`, `${tensor}.weight`],
    [`${slot}.bias`, `${tensor}.bias`],
  ];
}

/** A number that may be null or absent, for features that are then off. @throws CheckpointError `invalid-config` when it is anything else */
export function optionalNumber(raw: RawConfig, key: string): number | undefined {
  return raw[key] === undefined || raw[key] === null ? undefined : numberField(raw, key);
}

/** Padding and end-of-text tokens, to be spread into the configuration. */
export function tokenIds(raw: RawConfig): Pick<ModelConfig, 'padTokenId' | 'eosTokenIds'> {
  const pad = raw['pad_token_id'];
  const eos = raw['eos_token_id'];
  return {
    ...(typeof pad === 'number' && { padTokenId: pad }),
    eosTokenIds: typeof eos === 'number' ? [eos] : Array.isArray(eos) ? eos.filter((id) => typeof id === 'number') : [],
  };
}

/** What most families share, to be spread first into the configuration. */
export const CONFIG_DEFAULTS = {
  typeVocabSize: 0,
  labels: 0,
  gated: false,
  qkNorm: false,
  subNorm: false,
  positionRows: 0,
  positionOffset: 0,
  positionsSkipPadding: false,
  embeddingNorm: false,
  readout: 'tokens',
  pooler: false,
  headDense: 'none',
  readoutNorm: false,
  headBias: false,
  dropout: 0,
} as const satisfies Partial<ModelConfig>;
