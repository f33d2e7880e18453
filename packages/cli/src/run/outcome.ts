// What a run is given, and what it comes to.
import type { CheckpointFiles } from '@hip/checkpoints';
import type { SearchResult } from '@instatune/search';
import type { ElasticModel, LatencyRunner, LossPoint, SubnetConfig } from '@instatune/supernet';
import type { Choice } from '../budget/choose.ts';
import type { FinalMiss } from '../budget/final.ts';
import type { TaskData } from '../data/task.ts';
import type { ModelCard } from '../steps/head.ts';
import type { Quality } from '../steps/quality.ts';
import type { ResolvedSettings, TuneSettings } from '../steps/settings.ts';
import type { TuneProgress } from '../steps/stages.ts';
import type { RunStore } from './store.ts';

/** What `tune` is given. */
export interface TuneOptions {
  /** Folder, `http(s)://` address, `hf://owner/name`, or files. */
  readonly model: string | CheckpointFiles;
  /** @defaultValue read from the model */
  readonly card?: ModelCard | undefined;
  readonly data: TaskData;
  readonly settings: TuneSettings;
  /** Where the run is kept. @defaultValue in memory */
  readonly store?: RunStore | undefined;
  /** What latencies are timed on: `onnxRunner`, `checkpointRunner`, `pageRunner` or one of your own. @defaultValue tfjs, on the current backend */
  readonly runner?: LatencyRunner | undefined;
  /** Stops between steps; what is done is kept. */
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: TuneProgress) => void) | undefined;
}

/** What a run came to as far as it went: all that a report shows. */
export interface TuneFindings {
  readonly card: ModelCard;
  readonly data: TaskData;
  readonly settings: ResolvedSettings;
  /** Loss of the super-network by step. */
  readonly training: readonly LossPoint[];
  readonly result: SearchResult;
  /** Weights that were not in the checkpoint. */
  readonly newWeights: readonly string[];
  /** tfjs backend that all of it ran on. */
  readonly backend: string;
  /** What latencies were timed on. */
  readonly runtime: string;
  readonly seconds: Readonly<Record<string, number>>;
}

/** A chosen sub-network with its output projections fitted again. */
export interface Reconstructed {
  /** Whether it was as good at least, and went on from there. */
  readonly kept: boolean;
  /** Quality on the search's data as it was cut, and fitted again. */
  readonly before: Readonly<Record<string, number>>;
  readonly after: Readonly<Record<string, number>>;
}

/** A finished run. */
export interface TuneOutcome extends TuneFindings {
  readonly choice: Choice;
  readonly subnet: SubnetConfig;
  /** The full network, to compare it with. */
  readonly fullSubnet: SubnetConfig;
  /** What fitting its output projections again (least squares) came to on the search's data; undefined where it was not tried. */
  readonly reconstructed: Reconstructed | undefined;
  /** Loss of the chosen sub-network by step, by itself; empty where it was not trained on. */
  readonly refining: readonly LossPoint[];
  /** Whether fine-tuning on made it better on the search's data, and was kept. */
  readonly refined: boolean;
  /** Quality on the search's data after fine-tuning on. */
  readonly searched: Quality;
  /** Quality on the reported data, and costs, of the full network and of the chosen one. */
  readonly full: Readonly<Record<string, number>>;
  readonly small: Readonly<Record<string, number>>;
  /** Bounds of the budget that these do not keep, although the search found it within. */
  readonly missed: readonly FinalMiss[];
  /** The chosen network by itself; the caller disposes it. */
  readonly model: ElasticModel;
}
