// Fields of a request as options of a generation.
import type { GenerateOptions } from '../generation/options.ts';
import { biasHook } from './bias.ts';
import type { SamplingRequest } from './requests.ts';

/** @param index - of the choice: each has its own seed */
export function generateOptions(
  request: SamplingRequest,
  maxTokens: number | undefined,
  index: number,
): GenerateOptions {
  const { temperature, top_p, top_k, min_p, repetition_penalty, seed, stop } = request;
  return {
    maxTokens,
    temperature: temperature ?? undefined,
    topP: top_p ?? undefined,
    topK: top_k ?? undefined,
    minP: min_p ?? undefined,
    repetitionPenalty: repetition_penalty ?? undefined,
    seed: seed === undefined || seed === null ? anySeed() : seed + index,
    stopStrings: stop === undefined || stop === null ? [] : typeof stop === 'string' ? [stop] : stop,
    logitsHook: biasHook(request),
    grammar: request.grammar ?? undefined,
  };
}

function anySeed(): number {
  return crypto.getRandomValues(new Uint32Array(1))[0] as number;
}
