// A model that is exported, whichever way it was given.
import type { CheckpointFiles, ModelConfig } from '@hip/checkpoints';
import type { SubnetConfig } from '../../elastic/types.ts';
import type { OnnxDtype, OnnxQuantization } from './options.ts';
import type { ExportWeights } from './weights.ts';

/** What is exported, whichever way it was given. */
export interface ExportParts {
  readonly config: ModelConfig;
  /** Of an elastic model: its own configuration and the sub-network. */
  readonly elastic: { readonly config: ModelConfig; readonly subnet: SubnetConfig } | undefined;
  readonly source: CheckpointFiles | undefined;
  readonly withFormat: (options: {
    readonly dtype?: OnnxDtype | undefined;
    readonly quantization?: OnnxQuantization | undefined;
  }) => {
    readonly config: ModelConfig;
    readonly weights: ExportWeights;
  };
}
