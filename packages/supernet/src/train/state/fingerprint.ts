// What a run began with, in a few digits: its data and its weights. A state of other ones is not gone on with.
import { readWeights } from '../../adapters/trained.ts';
import type { Dataset, HostBatch } from '../../data/dataset.ts';
import type { BatchLoader } from '../../data/loader.ts';
import type { ElasticModel } from '../../model/types.ts';
import { Checksum, bytesOf } from './checksum.ts';

/** Examples of a dataset that are looked at, evenly spread. */
const EXAMPLES = 256;
const TOGETHER = 16;

/** Fingerprint of data: its length and its examples (of more than 256, as many evenly spread). Streams and loaders of one's own have none. */
export async function dataFingerprint(data: Dataset | BatchLoader): Promise<string | null> {
  if ('next' in data) return null;
  const sum = new Checksum().add(bytesOf(Float64Array.of(data.length)));
  const count = Math.min(EXAMPLES, data.length);
  for (let first = 0; first < count; first += TOGETHER) {
    const indices = Array.from({ length: Math.min(TOGETHER, count - first) }, (_, i) =>
      Math.floor(((first + i) * data.length) / count),
    );
    const batch: HostBatch = await data.batch(indices, { training: false });
    for (const array of [batch.inputIds, batch.attentionMask, batch.tokenTypeIds, batch.pixelValues]) {
      if (array) sum.add(bytesOf(array.data));
    }
    sum.add(bytesOf(batch.labels));
  }
  return sum.text();
}

/** Fingerprint of a model's weights as they are, trained or not. */
export async function weightsFingerprint(model: ElasticModel): Promise<string> {
  const sum = new Checksum();
  for (const variable of readWeights(model)) sum.add(bytesOf(await variable.data()));
  return sum.text();
}

/** Weights that runs of this process began with, by the model: one that was trained meanwhile is still the same model. */
const begun = new WeakMap<ElasticModel, Set<string>>();

/** Notes what a run on a model began with. */
export function noteStart(model: ElasticModel, weights: string): void {
  begun.set(model, (begun.get(model) ?? new Set()).add(weights));
}

/** Whether a model is the one that a run began with: by its weights now, or by those of an earlier run here. */
export function isStart(model: ElasticModel, weights: string, now: string): boolean {
  return weights === now || (begun.get(model)?.has(weights) ?? false);
}
