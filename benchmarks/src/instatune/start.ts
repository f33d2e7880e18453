// What a sub-network starts from when it is trained by itself: as it is cut, or fitted again where that is better.
import {
  extractModel,
  reconstructSubnet,
  type Dataset,
  type ElasticModel,
  type SubnetConfig,
} from '@instatune/supernet';
import { withCalibration } from './calibration.ts';

export interface StartOptions {
  readonly superNetwork: ElasticModel;
  readonly train: Dataset;
  /** Training examples that it is fitted on; none leaves it as it is cut. */
  readonly examples: number;
  /** Examples of a batch. */
  readonly batchSize: number;
  /** Loss on the split that searches see. */
  readonly lossOf: (model: ElasticModel) => Promise<number>;
}

export interface Start {
  /** The caller disposes it. */
  readonly model: ElasticModel;
  /** Losses of both, and the seconds that fitting took; absent where nothing was fitted. */
  readonly fit?: { readonly cutLoss: number; readonly fittedLoss: number; readonly seconds: number };
}

/** The better one of both starts. */
export async function startOf(subnet: SubnetConfig, options: StartOptions): Promise<Start> {
  const { superNetwork, train, examples, batchSize, lossOf } = options;
  const cut = await extractModel(superNetwork, subnet);
  if (examples <= 0) return { model: cut };
  try {
    const begun = performance.now();
    const count = Math.ceil(examples / batchSize);
    const fitted = await withCalibration(train, count, Math.min(examples, batchSize), (batches) =>
      reconstructSubnet(superNetwork, subnet, { batches }),
    );
    const seconds = (performance.now() - begun) / 1000;
    try {
      const [cutLoss, fittedLoss] = [await lossOf(cut), await lossOf(fitted)];
      const [model, other] = fittedLoss < cutLoss ? [fitted, cut] : [cut, fitted];
      other.dispose();
      return { model, fit: { cutLoss, fittedLoss, seconds } };
    } catch (error) {
      fitted.dispose();
      throw error;
    }
  } catch (error) {
    cut.dispose();
    throw error;
  }
}
