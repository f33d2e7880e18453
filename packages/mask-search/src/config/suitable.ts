// A configuration as it suits a model's heads: which channels can stand for a score (docs/specification/hip.md §8.1).
import type { HipConfig } from './config.ts';
import type { MassStage, SearchStage } from './stages.ts';

/**
 * How a model turns queries and keys by their positions. `half-split`: channel c of a head together with channel c + d/2, all of them
 * (Llama and most of its kin). `other`: neighbouring channels, a part of the head only, or not at all (learned positions).
 */
export type Rotation = 'half-split' | 'other';

/** What is known of a model's heads. */
export interface HeadForm {
  readonly headDim: number;
  /** @defaultValue 'half-split' */
  readonly rotation?: Rotation | undefined;
}

/** Whether a head has a slower half of rotary pairs: channels [d/4, d/2) and [3d/4, d). */
export function hasSlowHalf({ headDim, rotation = 'half-split' }: HeadForm): boolean {
  return rotation === 'half-split' && headDim % 4 === 0;
}

/**
 * The configuration that heads of this form run: stages that look at the slower half of the rotary pairs look at all channels where
 * there is no such half. Every search and every cache of this project does this with what it is given; models whose rotation is another
 * say so (`rotation` of @hip/attention's contexts), or come through this function.
 *
 * @example
 * ```ts
 * import { DEFAULT_CONFIG, suitableConfig } from '@hip/mask-search';
 * const dims = (rotation: 'half-split' | 'other', headDim = 64) =>
 *   suitableConfig(DEFAULT_CONFIG, { headDim, rotation }).stages?.map((stage) => stage.dims ?? 'all').join();
 * console.log(dims('half-split'), dims('other')); // => all,slow-half,slow-half all,all,all
 * console.log(dims('half-split', 30)); // => all,all,all
 * ```
 */
export function suitableConfig(config: HipConfig, form: HeadForm): HipConfig {
  const { stages } = config;
  if (hasSlowHalf(form) || !stages?.some(isHalf)) return config;
  return { ...config, stages: stages.map(withAllDims) };
}

function isHalf(stage: SearchStage): boolean {
  return stage.dims === 'slow-half';
}

function withAllDims(stage: SearchStage): SearchStage {
  if (!isHalf(stage)) return stage;
  const { dims: _, ...rest } = stage as MassStage;
  return rest;
}
