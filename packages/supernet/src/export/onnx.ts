// exportOnnx: a sub-network as a standalone ONNX model, as bytes or as a folder that onnxruntime and transformers.js load.
import { type CheckpointFiles, type ModelConfig, type WeightSlot } from '@hip/checkpoints';
import { OnnxError, onnxModelBytes, writeOnnxModel, type OnnxModelToWrite } from '@hip/onnx/model';
import { canonicalSubnet, fullSubnet } from '../elastic/subnets.ts';
import type { SubnetConfig } from '../elastic/types.ts';
import { SupernetError, throwIfAborted } from '../errors.ts';
import { TransformerModel } from '../model/transformer.ts';
import type { ElasticModel } from '../model/types.ts';
import { requireNode } from '../node-modules.ts';
import { buildOnnx } from './onnx/build.ts';
import { onnxFile, saveOnnxConfig } from './onnx/files.ts';
import { weightFormat, type OnnxDtype, type OnnxQuantization } from './onnx/options.ts';
import type { ExportParts } from './onnx/parts.ts';
import { ExportWeights } from './onnx/weights.ts';
import { subnetModelConfig, subnetSlots, subnetValue } from './values.ts';

export type { OnnxDtype, OnnxQuantization } from './onnx/options.ts';

/** Options of {@link exportOnnx}. */
export interface OnnxOptions {
  /** Graph name. @defaultValue the family */
  readonly name?: string | undefined;
  /** How weights are stored and computed with. @defaultValue 'fp32' */
  readonly dtype?: OnnxDtype | undefined;
  /** Details of 8-bit and 4-bit weights. */
  readonly quantization?: OnnxQuantization | undefined;
  /**
   * Whether the graph of a causal language model goes on from cached keys and values: inputs `past_key_values.N.key` and `.value`, outputs
   * `present.N.key` and `.value`. Rows of a batch are as long as each other then, or padded on the right.
   *
   * @defaultValue true of a folder, false of bytes
   */
  readonly cache?: boolean | undefined;
  /**
   * Whether the graph of a text model takes `attention_mask` [batch, sequence]: 0 where a row is padded. A causal model without a cache
   * needs it for batches padded on the left only; with one it always takes it, over cached and new tokens.
   *
   * @defaultValue true of encoders, false of causal models
   */
  readonly attentionMask?: boolean | undefined;
  /** Tokens that a graph with a cache takes, cached ones included: rows of its rotary tables. @defaultValue the model's positions */
  readonly contextLength?: number | undefined;
  /**
   * Whether a graph with a cache has the input `num_logits_to_keep` (an int64 scalar): logits of that many last tokens, 0 for all.
   * transformers.js asks for one when it generates; onnxruntime-genai does not know it.
   *
   * @defaultValue true, false with `genai`
   */
  readonly numLogitsToKeep?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Options of {@link exportOnnx} into a folder. */
export interface OnnxFolderOptions extends OnnxOptions {
  /** Weights in files of their own (`.onnx_data`): `auto` where the model would pass 2 GiB. @defaultValue 'auto' */
  readonly externalData?: boolean | 'auto' | undefined;
  /** Whether `genai_config.json` of onnxruntime-genai is written too. @defaultValue false */
  readonly genai?: boolean | undefined;
}

/** What {@link exportOnnx} wrote into a folder. */
export interface OnnxReport {
  readonly dtype: OnnxDtype;
  /** Path of the model in the folder, e.g. `onnx/model_q4.onnx`. */
  readonly model: string;
  /** Bytes of the model and its data files. */
  readonly bytes: number;
  /** Names of all files written, in the folder. */
  readonly files: readonly string[];
}

/** A model that is exported without being loaded into tfjs: a configuration and its weights, read one by one. */
export interface OnnxSource {
  readonly config: ModelConfig;
  /** Float32 values of a slot of `weightSlots(config)`, in its shape. */
  readonly readSlot: (slot: WeightSlot) => Promise<Float32Array>;
  /** Where tokenizer and generation settings are. */
  readonly source?: CheckpointFiles | undefined;
}

/**
 * A sub-network as ONNX. Inputs are named as transformers' exports: `input_ids` [batch, sequence] int64 and, for encoders,
 * `attention_mask` (of causal models if asked for) and `token_type_ids` (BERT) int64; `pixel_values` [batch, C, H, W] for image models.
 * Output: `logits`, float32.
 *
 * - **As bytes** (without `folder`) the graph of a causal model runs whole sequences, unless `cache: true`.
 * - **As a folder** it is what transformers.js loads: `config.json`, the tokenizer's files, `onnx/model.onnx` (`model_q4.onnx`, … by
 *   dtype, weights beyond 2 GiB in `.onnx_data` files), and a causal language model has a cache: onnxruntime's GroupQueryAttention with
 *   the rotation inside. Several dtypes may go into one folder. Weights are read and written one by one.
 *
 * @throws SupernetError `invalid-subnet`, `invalid-option`, `non-finite` (a weight), `unsupported-dtype` (a weight is too large for
 * float16), `aborted`; `unsupported` above protobuf's 2 GiB of bytes and, into a folder, without Node; `file-access`
 *
 * @example
 * ```ts
 * import { exportOnnx, fullSubnet } from '@instatune/supernet';
 * import * as ort from 'onnxruntime-node';
 *
 * const session = await ort.InferenceSession.create(await exportOnnx(model));
 * const ids = new ort.Tensor('int64', BigInt64Array.from([5n, 7n]), [1, 2]);
 * const { logits } = await session.run({ input_ids: ids });
 * console.log(logits.dims.slice(0, 2)); // => [ 1, 2 ]
 *
 * const { files } = await exportOnnx(model, fullSubnet(model.space), './out/onnx-model', { dtype: 'q4' });
 * console.log(files.includes('onnx/model_q4.onnx')); // => true
 * ```
 */
export function exportOnnx(
  model: ElasticModel | OnnxSource,
  subnet?: SubnetConfig,
  options?: OnnxOptions,
): Promise<Uint8Array<ArrayBuffer>>;
export function exportOnnx(
  model: ElasticModel | OnnxSource,
  subnet: SubnetConfig | undefined,
  folder: string,
  options?: OnnxFolderOptions,
): Promise<OnnxReport>;
export async function exportOnnx(
  model: ElasticModel | OnnxSource,
  subnet?: SubnetConfig,
  place?: string | OnnxOptions,
  options: OnnxFolderOptions = {},
): Promise<Uint8Array | OnnxReport> {
  const parts = partsOf(model, subnet);
  if (typeof place !== 'string') {
    const { signal } = place ?? {};
    const own = parts.withFormat(place ?? {});
    await own.weights.findMinima(signal);
    const built = build(own, place ?? {}, false);
    throwIfAborted(signal, 'exportOnnx');
    return typed(() => onnxModelBytes(built, signal));
  }
  requireNode('node:fs/promises', `writing to ${place}`, 'exportOnnx without a folder gives the bytes');
  if (options.genai && (parts.config.layerHeads ?? parts.config.layerKvHeads)) {
    const message = 'genai = true: its genai_config.json has one number of heads for all layers, which differ here';
    throw new SupernetError('invalid-option', message, { genai: true, heads: parts.config.layerHeads });
  }
  const dtype = options.dtype ?? 'fp32';
  const { externalData, signal } = options;
  const own = parts.withFormat(options);
  await own.weights.findMinima(signal);
  const built = build(own, options, parts.config.head === 'causal-lm');
  const path = onnxFile(dtype);
  const written = await typed(() => writeOnnxModel(built, `${place}/${path}`, { externalData, signal }));
  const report = await saveOnnxConfig(place, { ...parts, dtype, path, written, genai: options.genai ?? false, signal });
  return { dtype, model: path, ...report };
}

/**
 * The numbers that an export computes with, as a model: weights of the sub-network after quantisation (or rounding to float16) and
 * back, so that what quantisation costs is measured as accuracy is measured otherwise. Activations stay float32, which those of `q8` and
 * of `accuracyLevel: 4` do not. The caller disposes it.
 *
 * @throws SupernetError `invalid-subnet`, `invalid-option`, `non-finite` (a weight)
 *
 * @example
 * ```ts
 * import { quantizedModel } from '@instatune/supernet';
 *
 * const rounded = await quantizedModel(model, undefined, { dtype: 'q4' });
 * console.log(rounded.weights.size === model.weights.size); // => true
 * rounded.dispose();
 * ```
 */
export async function quantizedModel(
  model: ElasticModel,
  subnet?: SubnetConfig,
  options: Pick<OnnxOptions, 'dtype' | 'quantization'> = {},
): Promise<ElasticModel> {
  const { config, weights } = partsOf(model, subnet).withFormat(options);
  await weights.findMinima();
  const values = new Map<string, Float32Array>();
  for (const { name } of subnetSlots(model.config, canonicalSubnet(model.space, subnet ?? fullSubnet(model.space)))) {
    values.set(name, await weights.stored(name));
  }
  return new TransformerModel(config, values, {}, model.source, model.generation);
}

function partsOf(model: ElasticModel | OnnxSource, subnet: SubnetConfig | undefined): ExportParts {
  const of = (config: ModelConfig, readSlot: OnnxSource['readSlot'], elastic: ExportParts['elastic']): ExportParts => ({
    config,
    elastic,
    source: model.source,
    withFormat: ({ dtype, quantization }) => ({
      config,
      weights: new ExportWeights(config, weightFormat(dtype, quantization), readSlot),
    }),
  });
  if ('readSlot' in model) {
    if (subnet) {
      throw new SupernetError('invalid-option', 'subnet: a source that is not loaded is exported whole, leave it out');
    }
    return of(model.config, model.readSlot, undefined);
  }
  const kept = canonicalSubnet(model.space, subnet ?? fullSubnet(model.space));
  const own = new Map(model.slots.map((slot) => [slot.name, slot]));
  const read = (slot: WeightSlot) => subnetValue(model, kept, own.get(slot.name) as WeightSlot);
  return of(subnetModelConfig(model.config, kept), read, { config: model.config, subnet: kept });
}

function build(
  { config, weights }: ReturnType<ExportParts['withFormat']>,
  options: OnnxFolderOptions,
  cacheByDefault: boolean,
): OnnxModelToWrite {
  const { contextLength = config.maxPositions } = options;
  if (!Number.isSafeInteger(contextLength) || contextLength < 1) {
    const message = `contextLength = ${contextLength}: expected a positive integer`;
    throw new SupernetError('invalid-option', message, { contextLength });
  }
  return buildOnnx(config, weights, {
    name: options.name ?? config.family,
    isCached: options.cache ?? cacheByDefault,
    isMasked: options.attentionMask ?? !config.causal,
    positions: contextLength,
    choosesLogits: options.numLogitsToKeep ?? !(options.genai ?? false),
  });
}

/** The graph that an export of a configuration writes, weights unread. @throws SupernetError `invalid-option` */
export function buildExport(config: ModelConfig, options: OnnxOptions): OnnxModelToWrite {
  const readSlot = (slot: WeightSlot) =>
    Promise.reject(new SupernetError('internal', `${slot.name} is read of a model without weights`));
  return build(partsOf({ config, readSlot }, undefined).withFormat(options), options, false);
}

/** Errors of writing as this package's. */
async function typed<T>(action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (error) {
    if (!(error instanceof OnnxError)) throw error;
    const code = error.code === 'file-access' || error.code === 'aborted' ? error.code : 'unsupported';
    throw new SupernetError(code, error.message, error.details, { cause: error });
  }
}
