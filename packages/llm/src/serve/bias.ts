// frequency_penalty, presence_penalty and logit_bias, as the OpenAI API defines them: added to the logits.
import type { GenerateOptions } from '../generation/options.ts';
import type { SamplingRequest } from './requests.ts';

type BiasRequest = Pick<SamplingRequest, 'frequency_penalty' | 'presence_penalty' | 'logit_bias'>;

/** Undefined where a request asks for none of them: then a GPU need not send its logits. */
export function biasHook({
  frequency_penalty,
  presence_penalty,
  logit_bias,
}: BiasRequest): GenerateOptions['logitsHook'] {
  const bias = Object.entries(logit_bias ?? {}).map(([id, value]) => [Number(id), value] as const);
  const [frequency, presence] = [frequency_penalty ?? 0, presence_penalty ?? 0];
  if (bias.length === 0 && frequency === 0 && presence === 0) return undefined;
  const counts = new Map<number, number>();
  let counted = 0;
  return (logits, { ids, generated }) => {
    for (; counted < generated; counted++) {
      const id = ids[ids.length - generated + counted] as number;
      counts.set(id, (counts.get(id) ?? 0) + 1);
    }
    for (const [id, times] of counts) add(logits, id, -frequency * times - presence);
    for (const [id, value] of bias) add(logits, id, value);
  };
}

/** Ids that are no token have no logit. */
function add(logits: Float32Array, id: number, value: number): void {
  if (id < logits.length) logits[id] = (logits[id] as number) + value;
}
