// A sub-network by itself whose output projections are fitted again to what the full network computes.
import {
  fullSubnet,
  reconstructSubnet,
  subnetKey,
  type Dataset,
  type ElasticModel,
  type SubnetConfig,
} from '@instatune/supernet';
import { batchesToFit, EXAMPLES, withCalibration } from './calibration.ts';

/** Whether something is cut, of a model with one branch. */
export function canReconstruct({ config, space }: ElasticModel, subnet: SubnetConfig): boolean {
  return !config.multiway && subnetKey(subnet) !== subnetKey(fullSubnet(space));
}

/** Units of the widest projection that is fitted. */
function widestProjection({ config }: ElasticModel, subnet: SubnetConfig): number {
  return Math.max(...subnet.ffn, config.heads * config.headSize);
}

/** Examples that go through a network while one is fitted: those of each batch, for each projection, through both networks. */
export async function examplesToFit(model: ElasticModel, subnet: SubnetConfig, train: Dataset): Promise<number> {
  if (!canReconstruct(model, subnet)) return 0;
  const batches = await batchesToFit(train, model, widestProjection(model, subnet));
  return 2 * 2 * subnet.layers * batches * Math.min(EXAMPLES, train.length);
}

/** The sub-network fitted on training data. The caller disposes it. @throws SupernetError as `reconstructSubnet` does */
export async function reconstructed(
  model: ElasticModel,
  subnet: SubnetConfig,
  options: {
    readonly train: Dataset;
    readonly signal?: AbortSignal | undefined;
    readonly onProgress?: (progress: { readonly done: number; readonly total: number }) => void;
  },
): Promise<ElasticModel> {
  const { train, signal, onProgress } = options;
  const count = await batchesToFit(train, model, widestProjection(model, subnet));
  return withCalibration(train, (batches) => reconstructSubnet(model, subnet, { batches, signal, onProgress }), count);
}
