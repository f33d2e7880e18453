// generation_config.json: where a text ends and how its tokens are chosen, as the checkpoint's makers advise.
import { CheckpointError } from '../errors.ts';
import { quoted } from '../quote.ts';

import { optionalJson } from '../files/files.ts';
import type { CheckpointFiles } from '../files/files.ts';

/** How a checkpoint's makers advise to generate. */
export interface GenerationDefaults {
  /** Whether tokens are drawn; otherwise the likeliest is taken, whatever `temperature` says. @defaultValue false */
  readonly sample?: boolean;
  readonly temperature?: number;
  /** 0 = all. */
  readonly topK?: number;
  readonly topP?: number;
  readonly minP?: number;
  readonly repetitionPenalty?: number;
  readonly maxTokens?: number;
  /** Ids that end the text, instead of the configuration's. */
  readonly stopIds?: readonly number[];
}

/** What transformers takes where a checkpoint samples and does not say among how many. */
const SAMPLED_TOP_K = 50;

/**
 * Reads generation_config.json of a checkpoint; undefined when it has none. Beams, n-gram bans and forced tokens are not read.
 *
 * @throws CheckpointError `invalid-config` naming the key, and what reading the file throws
 *
 * @example
 * ```ts
 * import { folderFiles, loadGenerationConfig } from '@hip/checkpoints';
 *
 * const defaults = await loadGenerationConfig(folderFiles('./books-lm-6m'));
 * console.log(defaults?.stopIds); // => [ 0 ]
 * ```
 */
export async function loadGenerationConfig(files: CheckpointFiles): Promise<GenerationDefaults | undefined> {
  const json = await optionalJson(files, 'generation_config.json');
  return json && readGenerationConfig(json);
}

/** Defaults of a parsed generation_config.json. @throws CheckpointError `invalid-config` naming the key */
export function readGenerationConfig(json: Readonly<Record<string, unknown>>): GenerationDefaults {
  const number = (key: string, isRight: (value: number) => boolean, expected: string): number | undefined => {
    const value = json[key];
    if (value === undefined || value === null) return undefined;
    if (typeof value === 'number' && isRight(value)) return value;
    throw wrong(key, value, expected);
  };
  const sample = json['do_sample'] ?? false;
  if (typeof sample !== 'boolean') throw wrong('do_sample', sample, 'true or false');
  const temperature = number('temperature', (value) => value >= 0, 'a number ≥ 0');
  const topK = number('top_k', Number.isInteger, 'an integer');
  const topP = number('top_p', (value) => value > 0 && value <= 1, 'a number in (0, 1]');
  const minP = number('min_p', (value) => value >= 0 && value <= 1, 'a number in [0, 1]');
  const repetitionPenalty = number('repetition_penalty', (value) => value > 0, 'a number > 0');
  const maxTokens = number('max_new_tokens', (value) => Number.isInteger(value) && value >= 0, 'an integer ≥ 0');
  const stopIds = idList(json['eos_token_id']);
  const kept = topK ?? (sample ? SAMPLED_TOP_K : undefined);
  return {
    sample,
    ...(temperature !== undefined && { temperature }),
    ...(kept !== undefined && { topK: Math.max(0, kept) }),
    ...(topP !== undefined && { topP }),
    ...(minP !== undefined && { minP }),
    ...(repetitionPenalty !== undefined && { repetitionPenalty }),
    ...(maxTokens !== undefined && { maxTokens }),
    ...(stopIds && { stopIds }),
  };
}

function idList(value: unknown): readonly number[] | undefined {
  if (value === undefined || value === null) return undefined;
  const ids: readonly unknown[] = Array.isArray(value) ? value : [value];
  if (ids.every((id) => Number.isInteger(id) && (id as number) >= 0)) return ids as readonly number[];
  throw wrong('eos_token_id', value, 'a token id or a list of them');
}

function wrong(key: string, value: unknown, expected: string): CheckpointError {
  const message = `generation_config.json: ${key} is ${quoted(value)}, expected ${expected}`;
  return new CheckpointError('invalid-config', message, { key, value });
}
