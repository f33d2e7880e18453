// saveAdapters: adapters as a folder that peft loads, adapter_config.json and adapter_model.safetensors.
import {
  safetensorsChunks,
  saveFolder,
  tensorBytes,
  type Family,
  type FloatDtype,
  type TensorToWrite,
} from '@hip/checkpoints';
import { canonicalSubnet, fullSubnet } from '../../elastic/subnets.ts';
import type { SubnetConfig } from '../../elastic/types.ts';
import { SupernetError, throwIfAborted } from '../../errors.ts';
import type { RenderedFile } from '../../export/extract.ts';
import { familyOf } from '../../export/family.ts';
import type { ElasticModel } from '../../model/types.ts';
import { requireNode } from '../../node-modules.ts';
import { adapterFile, fileTensors, type AdapterFile } from './layout.ts';
import { moduleValues, replacedValues } from './values.ts';

/** The two files of a folder that peft loads. */
export const ADAPTER_CONFIG = 'adapter_config.json';
export const ADAPTER_WEIGHTS = 'adapter_model.safetensors';

/** Options of {@link saveAdapters}. */
export interface SaveAdaptersOptions {
  /** Element type of the stored values. @defaultValue 'F32' */
  readonly dtype?: FloatDtype | undefined;
  /** What `base_model_name_or_path` says. @defaultValue where the base was loaded from */
  readonly base?: string | undefined;
  /** @defaultValue the built-in families */
  readonly families?: readonly Family[] | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What was written. */
export interface AdapterReport {
  readonly subnet: SubnetConfig;
  /** Of A and B as stored: of fused products with the zeros between them. */
  readonly parameters: number;
  /** Bytes of the tensors, less the file's header. */
  readonly bytes: number;
  readonly files: readonly string[];
}

/** peft's names of what a model is for. */
const TASKS: Readonly<Record<string, string>> = {
  'sequence-classification': 'SEQ_CLS',
  'token-classification': 'TOKEN_CLS',
  'causal-lm': 'CAUSAL_LM',
  none: 'FEATURE_EXTRACTION',
  'sentence-embedding': 'FEATURE_EXTRACTION',
};

/**
 * The files of {@link saveAdapters} without writing them anywhere (browsers, archives).
 *
 * @throws SupernetError `invalid-option` (a model without adapters), `invalid-subnet`, `unsupported-model`, `unsupported-dtype`,
 * `non-finite`, `aborted`
 */
export async function renderAdapters(
  model: ElasticModel,
  subnet: SubnetConfig = fullSubnet(model.space),
  options: SaveAdaptersOptions = {},
): Promise<{ readonly files: readonly RenderedFile[]; readonly report: AdapterReport }> {
  const { dtype = 'F32', families, signal } = options;
  if (!model.adapters) {
    throw new SupernetError('invalid-option', 'the model has no adapters: make some by addAdapters', {
      family: model.family,
    });
  }
  const kept = canonicalSubnet(model.space, subnet);
  const family = familyOf(model.config, families);
  const file = adapterFile(model, kept, families);
  const values: Float32Array[] = [];
  const scales: number[] = [];
  for (const module of file.modules) {
    const { a, b, scale } = await moduleValues(model, kept, module);
    values.push(a, b);
    scales.push(scale);
    throwIfAborted(signal, 'saving adapters');
  }
  values.push(...(await replacedValues(model, kept, family)).values());
  const tensors = fileTensors(file).map((tensor, i): TensorToWrite => ({ ...tensor, data: values[i]!, dtype }));
  const config = adapterConfig(model, file, scales, options.base ?? model.source?.location ?? null);
  const files: RenderedFile[] = [
    { name: ADAPTER_CONFIG, chunks: [new TextEncoder().encode(`${JSON.stringify(config, null, 2)}\n`)] },
    { name: ADAPTER_WEIGHTS, chunks: safetensorsChunks(tensors) },
  ];
  const report: AdapterReport = {
    subnet: kept,
    parameters: file.modules.reduce((sum, { module, rank }) => sum + rank * (module.inputs + module.outputs), 0),
    bytes: tensors.reduce((sum, tensor) => sum + tensorBytes(tensor), 0),
    files: files.map(({ name }) => name),
  };
  return { files, report };
}

/**
 * Writes the adapters of a sub-network as a folder that Python's `peft` and {@link loadAdapters} load onto the base as it is:
 * `rank_pattern` and `alpha_pattern` say where layers differ, `modules_to_save` names a head of the model's own. Of a sub-network that is
 * narrower than the base it goes with that sub-network of the base (`extractSubnet(base, …)`); of a base whose heads or units were
 * reordered with the reordered one.
 *
 * @throws SupernetError as {@link renderAdapters}, `file-access` (a full or read-only disk), `unsupported` without Node
 *
 * @example
 * ```ts
 * import { addAdapters, loadAdapters, saveAdapters } from '@instatune/supernet';
 *
 * const adapted = addAdapters(model, { targets: ['query', 'value'], rank: 4 });
 * const { files } = await saveAdapters(adapted, undefined, './out/adapter');
 * console.log(files.join()); // => adapter_config.json,adapter_model.safetensors
 * const again = await loadAdapters(model, './out/adapter');
 * ```
 */
export async function saveAdapters(
  model: ElasticModel,
  subnet: SubnetConfig | undefined,
  folder: string,
  options: SaveAdaptersOptions = {},
): Promise<AdapterReport> {
  requireNode('node:fs/promises', `writing to ${folder}`, 'renderAdapters gives the files without writing them');
  const { files, report } = await renderAdapters(model, subnet, options);
  await saveFolder(folder, files, { signal: options.signal });
  return report;
}

/** The module that a tensor is saved of. peft saves classifiers whole of itself: no part of one is named beside it. */
function savedModule(tensor: string): string {
  return /^(classifier|score)\./.exec(tensor)?.[1] ?? tensor.replace(/\.[^.]*$/, '');
}

/** adapter_config.json; α is what gives the scale at each module's rank. */
function adapterConfig(
  { config }: ElasticModel,
  { modules, replaced }: AdapterFile,
  scales: readonly number[],
  base: string | null,
): Record<string, unknown> {
  const rank = modules[0]?.rank ?? 1;
  const alphas = modules.map((module, i) => scales[i]! * module.rank);
  const alpha = alphas[0] ?? 1;
  const patternOf = (values: readonly number[], usual: number) =>
    Object.fromEntries(
      modules.flatMap(({ module }, i) => (values[i] === usual ? [] : ([[module.name, values[i]!]] as const))),
    );
  const ranks = modules.map((module) => module.rank);
  const saved = [...new Set(replaced.map(({ tensor }) => savedModule(tensor)))];
  return {
    peft_type: 'LORA',
    task_type: TASKS[config.head] ?? null,
    base_model_name_or_path: base,
    inference_mode: true,
    r: rank,
    lora_alpha: alpha,
    rank_pattern: patternOf(ranks, rank),
    alpha_pattern: patternOf(alphas, alpha),
    // Whole names: no other module ends in one of them.
    target_modules: modules.map(({ module }) => module.name),
    modules_to_save: saved.length > 0 ? saved : null,
    fan_in_fan_out: modules.some(({ module }) => module.isConv1d),
    lora_dropout: 0,
    bias: 'none',
    init_lora_weights: true,
    use_rslora: false,
    use_dora: false,
  };
}
