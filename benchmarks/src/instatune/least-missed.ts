// Which blocks of a network its loss misses least: each is left out once, alone.
import { evaluate, fullSubnet, type Dataset, type ElasticModel, type EvaluateOptions } from '@instatune/supernet';

export interface LeftOut {
  readonly attention: readonly number[];
  readonly ffn: readonly number[];
}

/** Layers whose attention, and whose FFN, costs least to leave out: so many of each, ascending. */
export async function leastMissed(
  model: ElasticModel,
  data: Dataset,
  count: { readonly attention: number; readonly ffn: number },
  options: Pick<EvaluateOptions, 'batchSize' | 'precision'>,
): Promise<LeftOut> {
  const { layers } = model.config;
  const full = fullSubnet(model.space);
  const least = async (name: 'skipAttention' | 'skipFfn', most: number): Promise<number[]> => {
    const losses: (readonly [layer: number, loss: number])[] = [];
    if (most === 0) return [];
    for (let layer = 0; layer < layers; layer++) {
      const subnet = { ...full, [name]: Array.from({ length: layers }, (_, other) => other === layer) };
      losses.push([layer, (await evaluate(model, data, { ...options, subnet })).loss]);
    }
    losses.sort(([, a], [, b]) => a - b);
    return losses
      .slice(0, most)
      .map(([layer]) => layer)
      .sort((a, b) => a - b);
  };
  return { attention: await least('skipAttention', count.attention), ffn: await least('skipFfn', count.ffn) };
}
