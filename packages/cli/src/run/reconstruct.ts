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

/** Examples that go through a network for each of a step: forward and backward, of the full network and of a random one. */
const PASSES_OF_STEP = 6;

/** How a fit is bounded: it takes no longer than training did. */
export interface FitOptions {
  readonly train: Dataset;
  readonly steps: number;
  readonly batchSize: number;
}

/** Of one batch: its examples, three times through the sub-network and once through the full one, as if it were as large. */
const examplesOfBatch = ({ length }: Dataset): number => 4 * Math.min(EXAMPLES, length);

function batchesOf(
  model: ElasticModel,
  subnet: SubnetConfig,
  { train, steps, batchSize }: FitOptions,
): Promise<number> {
  const most = Math.floor((PASSES_OF_STEP * steps * batchSize) / examplesOfBatch(train));
  return batchesToFit(train, model, widestProjection(model, subnet), most);
}

/** Examples that go through a network while a sub-network is fitted. */
export async function examplesToFit(model: ElasticModel, subnet: SubnetConfig, options: FitOptions): Promise<number> {
  if (!canReconstruct(model, subnet)) return 0;
  return (await batchesOf(model, subnet, options)) * examplesOfBatch(options.train);
}

/** The sub-network fitted on training data. The caller disposes it. @throws SupernetError as `reconstructSubnet` does */
export async function reconstructed(
  model: ElasticModel,
  subnet: SubnetConfig,
  options: FitOptions & {
    readonly signal?: AbortSignal | undefined;
    readonly onProgress?: (progress: { readonly done: number; readonly total: number }) => void;
  },
): Promise<ElasticModel> {
  const { train, signal, onProgress } = options;
  const count = await batchesOf(model, subnet, options);
  return withCalibration(train, (batches) => reconstructSubnet(model, subnet, { batches, signal, onProgress }), count);
}
