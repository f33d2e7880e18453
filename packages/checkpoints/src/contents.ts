// What a place holds: Hugging Face files with safetensors, or a GGUF file, by itself or beside a config.json.
import { CheckpointError } from './errors.ts';
import { quoted } from './quote.ts';
import { ggufFields } from './families/gguf-fields.ts';
import type { Family } from './families/family.ts';
import { findFamily } from './families/index.ts';
import type { RawConfig } from './families/hf-config.ts';
import type { CheckpointFiles } from './files/files.ts';
import { readJson } from './files/files.ts';
import { ggufFiles } from './gguf/files.ts';
import { openGgufFiles } from './gguf/open.ts';
import type { GgufFile } from './gguf/open.ts';
import { ggufWeights } from './gguf/weights.ts';
import { ggufTokenizer } from './gguf/tokenizer.ts';
import type { TokenizerFiles } from './gguf/tokenizer.ts';
import { openWeights } from './weights/weights.ts';
import type { CheckpointWeights } from './weights/weights.ts';

/** Weights, their format, and the configuration as read. */
export interface Contents {
  readonly family: Family;
  readonly json: RawConfig;
  readonly weights: CheckpointWeights;
  /** The small files; of a GGUF what it holds in their place. */
  readonly files: CheckpointFiles;
  /** The GGUF file that the weights are in. */
  readonly gguf?: GgufFile;
  /** The GGUF's tokenizer where that is the one to use. */
  readonly ownTokenizer?: () => Promise<TokenizerFiles | undefined>;
}

/** Opens what is there. `gguf` names a file that is then all there is; without it a folder's only GGUF serves where it has no safetensors. */
export async function openContents(
  files: CheckpointFiles,
  gguf: string | undefined,
  families: readonly Family[],
  overrides: RawConfig = {},
): Promise<Contents> {
  if (gguf !== undefined) return openSelfContained(files, gguf, families, overrides);
  const raw = await readJson(files, 'config.json');
  const json = { ...raw, ...overrides };
  const beside = await ggufBeside(files);
  if (!raw) {
    if (beside !== undefined) return openSelfContained(files, beside, families, overrides);
    throw await nothingThere(files);
  }
  const family = findFamily(json, families);
  if (beside === undefined) return { family, json, weights: await openWeights(files), files };
  const file = await openGgufFiles(files, beside);
  return {
    family,
    json,
    weights: ggufWeights(file),
    files: ggufFiles(files, file.metadata, raw, true),
    gguf: file,
    ownTokenizer: async () => ((await hasTokenizer(files)) ? undefined : ggufTokenizer(file.metadata)),
  };
}

async function hasTokenizer(files: CheckpointFiles): Promise<boolean> {
  return (await files.list?.())?.includes('tokenizer.json') ?? false;
}

/** Name of the GGUF to read where a place lists its files, has no safetensors and one model in GGUF. */
async function ggufBeside(files: CheckpointFiles): Promise<string | undefined> {
  const names = (await files.list?.()) ?? [];
  if (names.some((name) => /^model\.safetensors(\.index\.json)?$/.test(name))) return undefined;
  const models = names.filter((name) => name.endsWith('.gguf') && !/-0000[2-9]-of-|-000[1-9]\d-of-|^mmproj/.test(name));
  if (models.length <= 1) return models[0];
  const message = `${files.location} holds ${models.length} GGUF files (${models.slice(0, 3).join(', ')}${models.length > 3 ? ', …' : ''}): name one, ${files.location.replace(/\/+$/, '')}/${models[0]}`;
  throw new CheckpointError('file-not-found', message, { path: files.location, models });
}

async function openSelfContained(
  files: CheckpointFiles,
  name: string,
  families: readonly Family[],
  overrides: RawConfig,
): Promise<Contents> {
  const file = await openGgufFiles(files, name);
  try {
    const fields = ggufFields(file);
    const family = families.find((one) => one.gguf?.architectures.includes(fields.architecture));
    if (!family?.gguf) {
      const known = families.flatMap(({ gguf }) => gguf?.architectures ?? []).join(', ');
      const message = `${file.name}: the architecture ${quoted(fields.architecture)} is not read from GGUF (read: ${known})`;
      throw new CheckpointError('unsupported-model', message, { architecture: fields.architecture });
    }
    const config = await family.gguf.config(fields);
    return {
      family,
      json: { ...config, ...overrides },
      weights: ggufWeights(file),
      files: ggufFiles(files, file.metadata, config, false),
      gguf: file,
      ownTokenizer: async () => ggufTokenizer(file.metadata),
    };
  } catch (error) {
    await file.close();
    throw error;
  }
}

async function nothingThere(files: CheckpointFiles): Promise<CheckpointError> {
  const there = (await files.exists?.()) ?? true;
  const message = there
    ? `${files.location} has no config.json`
    : `there is no folder ${files.location}: give the one that holds the checkpoint's config.json and *.safetensors, or a *.gguf file`;
  return new CheckpointError('file-not-found', message, { path: files.location });
}
