// What a run comes to: three numbers, a sentence each. The report shows them first.
import { attentionSpeedup, bestReader, countFound, countSame, perplexityRatio } from '../pipeline/derived.ts';
import type { DemoResult, PassKeys, Reader } from '../pipeline/result.ts';

export interface Finding {
  readonly value: string;
  readonly sentence: string;
}

/** What a reader is called in sentences. */
export const READER_NAMES: Readonly<Record<Reader['model'], string>> = {
  chosen: 'the chosen sub-network',
  pretrained: 'the full pretrained model',
};

const count = (value: number): string => value.toLocaleString('en-US');

/** What was done, and what came out of it. */
export function findings(result: DemoResult): readonly Finding[] {
  const { finetune, search, chosen, environment, longContext, passKeys } = result;
  const { baseline } = chosen;
  const isLatency = search.cost === 'latency';
  const share = isLatency ? chosen.latencyMs / baseline.latencyMs : chosen.macs / baseline.macs;
  const longest = longContext.at(-1)!;
  const text = environment['text'];
  const document = environment['document'];
  return [
    {
      value: `${Math.round(100 * share)} %`,
      sentence: `of the full model’s ${isLatency ? 'time' : 'multiply-accumulates'} is what the chosen sub-network needs, after ${finetune.steps} steps of fine-tuning${typeof text === 'string' ? ` on ${text}` : ''} and ${search.evaluations} measured sub-networks: validation loss ${chosen.loss.toFixed(2)}, where the model had ${baseline.lossPretrained.toFixed(2)} before and has ${baseline.lossFineTuned.toFixed(2)} at full size.`,
    },
    {
      value: `${attentionSpeedup(longest).toFixed(1)}×`,
      sentence: `faster is ${longest.hipAttentionMs === undefined ? 'the prefill' : 'attention'} with HiP than dense, over ${count(longest.tokens)} tokens${typeof document === 'string' ? ` of ${document}` : ''} read by that sub-network, at ${perplexityRatio(longest)}× dense’s perplexity.`,
    },
    ...(passKeys ? [passKeyFinding(passKeys)] : []),
  ];
}

/** Who found how many, honestly of every reader. */
export function passKeyFinding(passKeys: PassKeys): Finding {
  const { keys, tokens, text } = passKeys;
  const best = bestReader(passKeys);
  const [dense, hip] = [countFound(keys, best.dense), countFound(keys, best.hip)];
  const others = passKeys.readers.filter((reader) => reader !== best);
  return {
    value: `${hip} of ${keys.length}`,
    sentence: [
      `pass-keys hidden in ${count(tokens)} tokens of ${text} are found by ${READER_NAMES[best.model]} with HiP, ${dense} of ${keys.length} with dense attention; ${countSame(best)} of ${keys.length} answers are the same.`,
      ...others.map(
        (reader) =>
          `${capital(READER_NAMES[reader.model])} finds ${countFound(keys, reader.dense)} with dense attention and ${countFound(keys, reader.hip)} with HiP.`,
      ),
    ].join(' '),
  };
}

const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);
