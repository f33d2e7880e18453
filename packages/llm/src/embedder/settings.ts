// What a sentence encoder's files say of reading texts: how much of one, how its tokens are pooled.
import type { CheckpointFiles, ModelConfig, OpenCheckpoint } from '@hip/checkpoints';
import { LlmError } from '../errors.ts';
import type { EmbedderOptions, Pooling } from './types.ts';

export interface EmbedderSettings {
  readonly pooling: Pooling;
  readonly normalize: boolean;
  readonly maxTokens: number;
  /** Texts are read in lower case, whatever the tokenizer does. */
  readonly lowerCase: boolean;
}

/** Larger values of `model_max_length` mean that there is no limit. */
const UNLIMITED = 1e6;

/** @throws LlmError `invalid-input` naming the option, `unsupported-model` for modules that are not computed here */
export async function readSettings(
  { config, files }: OpenCheckpoint,
  { pooling, normalize, maxTokens: asked }: EmbedderOptions,
): Promise<EmbedderSettings> {
  if (pooling !== undefined && pooling !== 'mean' && pooling !== 'first')
    throw invalid('pooling', pooling, 'mean, first');
  if (normalize !== undefined && typeof normalize !== 'boolean') throw invalid('normalize', normalize, 'true or false');
  const isSentence = config.head === 'sentence-embedding';
  if (!isSentence && pooling === undefined) await requireNoModules(files);
  const sentence = await readJson(files, 'sentence_bert_config.json');
  const tokenizer = await readJson(files, 'tokenizer_config.json');
  const room = positionsOf(config);
  const told = [sentence['max_seq_length'], tokenizer['model_max_length']].find(isCount);
  if (asked !== undefined && !(isCount(asked) && asked <= room)) {
    throw invalid('maxTokens', asked, `an integer from 1 to ${room}`);
  }
  return {
    pooling: pooling ?? (isSentence && config.readout === 'first' ? 'first' : 'mean'),
    normalize: normalize ?? (isSentence ? config.unitEmbedding === true : true),
    maxTokens: asked ?? Math.min(told ?? room, room),
    lowerCase: sentence['do_lower_case'] === true,
  };
}

/** Tokens that have a position. */
function positionsOf({ positionRows, positionOffset, maxPositions }: ModelConfig): number {
  return positionRows > 0 ? positionRows - positionOffset : maxPositions;
}

/** Modules that were not understood would otherwise be left out silently. */
async function requireNoModules(files: CheckpointFiles): Promise<void> {
  const modules = await files.text('modules.json');
  if (modules === undefined) return;
  const message = `modules.json of ${files.location} asks for more than mean or class-token pooling and normalising: give options.pooling to do without, or another model`;
  throw new LlmError('unsupported-model', message, { location: files.location });
}

async function readJson(files: CheckpointFiles, name: string): Promise<Readonly<Record<string, unknown>>> {
  const text = await files.text(name);
  if (text === undefined) return {};
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  } catch (cause) {
    const message = `${name} of ${files.location} is no JSON: download it again, or take it away`;
    throw new LlmError('unsupported-model', message, { location: files.location, name }, { cause });
  }
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= UNLIMITED;
}

function invalid(name: string, value: unknown, fix: string): LlmError {
  return new LlmError('invalid-input', `${name} is ${JSON.stringify(value)}: give ${fix}`, { name, value });
}
