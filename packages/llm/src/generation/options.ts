// What a generation is told, completed by what the checkpoint advises, and checked before anything is computed.
import type { GenerationDefaults, TextTokenizer } from '@hip/checkpoints';
import {
  createSampler,
  requirePenalty,
  samplingOptions,
  type LogProbabilities,
  type Sampler,
  type SamplingOptions,
} from '@hip/checkpoints/generation';
import { compileConstraint, type ConstraintOptions } from '../constrain/compile.ts';
import type { Grammar } from '../constrain/grammar.ts';
import { LlmError } from '../errors.ts';
import { MOST_DRAFTED } from '../speculative/draft-length.ts';
import { asLlmError } from './failures.ts';

/** What {@link GenerateOptions.logitsHook} is told. */
export interface LogitsContext {
  /** Prompt and reply so far. */
  readonly ids: readonly number[];
  /** How many of them are the reply. */
  readonly generated: number;
}

/** Options of a generation. Those left out are the checkpoint's (generation_config.json), else the defaults here. */
export interface GenerateOptions extends Omit<SamplingOptions, 'masked'>, ConstraintOptions {
  /** @defaultValue 512 */
  readonly maxTokens?: number | undefined;
  /** Divides the logits above 0 of tokens of prompt and reply, multiplies those below (Keskar 2019). @defaultValue 1 */
  readonly repetitionPenalty?: number | undefined;
  /** Ids that end the text; they are not part of it. @defaultValue the checkpoint's */
  readonly stopIds?: readonly number[] | undefined;
  /** Texts that end the text; they are not part of it, though their tokens are of what `generate` returns. @defaultValue none */
  readonly stopStrings?: readonly string[] | undefined;
  /** Changes logits [vocabulary] in place before a token is chosen of them; −∞ bans a token. After the repetition penalty. */
  readonly logitsHook?: ((logits: Float32Array, context: LogitsContext) => void) | undefined;
  /** Report every token's log-probability, and the likeliest tokens', as many as this says: of the model's own logits. @defaultValue none */
  readonly logProbabilities?: number | undefined;
  /**
   * Tokens that the model's draft proposes at a time, up to 7; 0: none. The text is the same with any number.
   *
   * @defaultValue as many as pay, by what proposing and checking cost and how often both agree
   */
  readonly draftTokens?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Called with each token of the reply. */
  readonly onToken?: ((id: number, token: GeneratedToken) => void) | undefined;
  /** Called while the prompt is read, with its tokens. */
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

/** What this package compiles itself, in place of a schema or grammar. */
export interface Compiled {
  readonly constraint?: Grammar | undefined;
}

/** A token of a reply. */
export interface GeneratedToken {
  readonly id: number;
  /** With {@link GenerateOptions.logProbabilities}. */
  readonly logProbabilities?: LogProbabilities;
}

/** Why a reply ended: a stop id, a stop string, a schema or grammar that allows nothing more, `maxTokens`, no room for more. */
export type FinishReason = 'stop-id' | 'stop-string' | 'complete' | 'length' | 'context';

/** {@link GenerateOptions} with nothing left open. */
export interface GenerationSettings {
  readonly maxTokens: number;
  readonly penalty: number;
  readonly stopIds: ReadonlySet<number>;
  readonly stopStrings: readonly string[];
  readonly choose: Sampler;
  /** 0: the likeliest token. */
  readonly temperature: number;
  readonly logitsHook: GenerateOptions['logitsHook'];
  /** What the reply is held to. */
  readonly grammar: Grammar | undefined;
  readonly logProbabilities: number | undefined;
  readonly draftTokens: number | undefined;
  readonly signal: AbortSignal | undefined;
  readonly onToken: GenerateOptions['onToken'];
  readonly onProgress: GenerateOptions['onProgress'];
}

/** Tokens of a reply where neither the caller nor the checkpoint says. */
const MAX_TOKENS = 512;

/**
 * @param eosIds - what ends a text where the checkpoint advises nothing
 * @param text - what a schema or a grammar is compiled for
 * @throws LlmError `invalid-input` naming the option, its value and what is allowed
 */
export function resolveGeneration(
  options: GenerateOptions & Compiled,
  defaults: GenerationDefaults,
  eosIds: readonly number[],
  text: { readonly tokenizer: TextTokenizer | undefined; readonly vocabulary: number },
): GenerationSettings {
  const maxTokens = options.maxTokens ?? defaults.maxTokens ?? MAX_TOKENS;
  const penalty = options.repetitionPenalty ?? defaults.repetitionPenalty ?? 1;
  const { logitsHook, logProbabilities, draftTokens, signal, onToken, onProgress, stopStrings = [] } = options;
  requireCount('maxTokens', maxTokens);
  if (logProbabilities !== undefined) requireCount('logProbabilities', logProbabilities);
  if (
    draftTokens !== undefined &&
    !(Number.isSafeInteger(draftTokens) && draftTokens >= 0 && draftTokens <= MOST_DRAFTED)
  ) {
    throw invalid('draftTokens', draftTokens, `an integer from 0 to ${MOST_DRAFTED}`);
  }
  for (const text of stopStrings) {
    // Half a character would end the text inside another one.
    if (typeof text === 'string' && text !== '' && text.isWellFormed()) continue;
    throw invalid('stopStrings', text, 'texts of whole characters that are not empty');
  }
  const grammar = options.constraint ?? compileConstraint(options, text.tokenizer, text.vocabulary);
  if (grammar && stopStrings.length > 0)
    throw invalid('stopStrings', stopStrings, 'none with a schema or a grammar, which they would cut');
  try {
    requirePenalty(penalty);
    const sampling = samplingOptions(options, defaults);
    const choose = createSampler({ ...sampling, masked: logitsHook !== undefined || grammar !== undefined });
    const stopIds = new Set(options.stopIds ?? defaults.stopIds ?? eosIds);
    return {
      maxTokens,
      penalty,
      stopIds,
      stopStrings,
      choose,
      temperature: sampling.temperature ?? 0,
      logitsHook,
      grammar,
      logProbabilities,
      draftTokens,
      signal,
      onToken,
      onProgress,
    };
  } catch (error) {
    throw asLlmError(error);
  }
}

/** @throws LlmError `invalid-input` where there are stop strings and no tokenizer to find them by */
export function requireText(settings: GenerationSettings, tokenizer: TextTokenizer | undefined): void {
  if (settings.stopStrings.length === 0 || tokenizer) return;
  throw new LlmError('invalid-input', 'the model has no tokenizer, which stopStrings need: give stopIds', {
    stopStrings: settings.stopStrings,
  });
}

function requireCount(name: string, value: number): void {
  if (!(Number.isSafeInteger(value) && value >= 0)) throw invalid(name, value, 'an integer ≥ 0');
}

function invalid(name: string, value: unknown, fix: string): LlmError {
  return new LlmError('invalid-input', `${name} is ${JSON.stringify(value)}: give ${fix}`, { name, value });
}
