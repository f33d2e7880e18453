// Context beyond the trained length: the rotation of a model stretched, without training.
import { CheckpointError } from '../errors.ts';
import { inverseFrequencies, readRope } from '../families/rope-config.ts';
import type { ModelConfig, RopeConfig } from './config.ts';

/**
 * How positions beyond those a model was trained on are rotated.
 *
 * `yarn` (Peng 2023, arXiv 2309.00071): slow pairs as if positions were `factor` times as dense, fast ones as they are, a ramp between,
 * and logits a little sharper; for a length that is known, of `factor` times the trained one. `dynamic` (dynamic NTK): a θ that grows
 * with the prompt's length; texts of the trained length stay as they are. `linear`: all positions `factor` times as dense (Chen 2023,
 * arXiv 2306.15595).
 */
export interface ContextExtension {
  readonly type: 'yarn' | 'dynamic' | 'linear';
  /** Times the trained length, at least 1. */
  readonly factor: number;
  /** `yarn`: turns over the trained length from which a pair stays as it is. @defaultValue 32 */
  readonly betaFast?: number | undefined;
  /** `yarn`: turns below which a pair is stretched whole. @defaultValue 1 */
  readonly betaSlow?: number | undefined;
  /** `yarn`: factor on cos and sin. @defaultValue 0.1·ln(factor) + 1 */
  readonly attentionFactor?: number | undefined;
}

const TYPES: readonly string[] = ['yarn', 'dynamic', 'linear'] satisfies ContextExtension['type'][];

/**
 * The configuration of a model with its rotation stretched, as transformers computes it from `rope_scaling`; weights stay. Layers with a
 * rotation of their own for a sliding window (Gemma 3) keep it. `maxPositions` is `factor` times as large, but for `dynamic`, where it
 * is what θ is counted from.
 *
 * @throws CheckpointError `invalid-option` naming the field, the value and the fix; `unsupported-model` where nothing rotates (learned
 * positions), or is stretched already
 * @example
 * ```ts
 * import { extendContext, type ModelConfig } from '@hip/checkpoints';
 * import { readRope } from '@hip/checkpoints/families';
 *
 * const small = { family: 'llama', headSize: 64, maxPositions: 8192, rope: readRope({}, 64, 8192) } as ModelConfig;
 * const { maxPositions, rope } = extendContext(small, { type: 'yarn', factor: 4 });
 * console.log(maxPositions, rope!.attentionFactor.toFixed(3)); // => 32768 1.139
 * console.log(rope!.inverseFrequencies[0] === small.rope!.inverseFrequencies[0]); // => true
 * ```
 */
export function extendContext(config: ModelConfig, extension: ContextExtension): ModelConfig {
  checkExtension(extension);
  const { rope, family, headSize, maxPositions } = config;
  if (!rope) {
    const message = `a ${family} model rotates nothing: its positions end with their table; leave context out`;
    throw new CheckpointError('unsupported-model', message, { family });
  }
  if (isStretched(rope)) {
    const message = `this ${family} model's rotation is stretched already (rope_scaling of its config.json): leave context out, or replace rope_scaling through the option config`;
    throw new CheckpointError('unsupported-model', message, { family });
  }
  const { type, factor, betaFast, betaSlow, attentionFactor } = extension;
  const raw = {
    rope_theta: rope.theta,
    partial_rotary_factor: (2 * rope.inverseFrequencies.length) / headSize,
    rope_scaling: {
      rope_type: type,
      factor,
      ...(type === 'yarn' && { original_max_position_embeddings: maxPositions }),
      ...(betaFast !== undefined && { beta_fast: betaFast }),
      ...(betaSlow !== undefined && { beta_slow: betaSlow }),
      ...(attentionFactor !== undefined && { attention_factor: attentionFactor }),
    },
  };
  return {
    ...config,
    rope: readRope(raw, headSize, maxPositions),
    maxPositions: type === 'dynamic' ? maxPositions : Math.floor(maxPositions * factor),
  };
}

/** Whether frequencies are others than θ alone makes. */
function isStretched({ theta, inverseFrequencies: own, dynamic, long, attentionFactor }: RopeConfig): boolean {
  const plain = inverseFrequencies(theta, 2 * own.length);
  return Boolean(dynamic ?? long) || attentionFactor !== 1 || own.some((frequency, i) => frequency !== plain[i]);
}

function checkExtension(extension: ContextExtension): void {
  const fail = (name: string, value: unknown, fix: string): never => {
    throw new CheckpointError('invalid-option', `context${name} is ${String(value)}: give ${fix}`, { value });
  };
  if (typeof extension !== 'object' || extension === null) fail('', extension, '{ type, factor }');
  const { type, factor, betaFast, betaSlow, attentionFactor } = extension;
  if (!TYPES.includes(type)) fail('.type', type, `one of ${TYPES.join(', ')}`);
  if (!Number.isFinite(factor) || factor < 1) fail('.factor', factor, 'a number >= 1');
  const ofYarn = { betaFast, betaSlow, attentionFactor };
  for (const [name, value] of Object.entries(ofYarn)) {
    if (value === undefined) continue;
    if (type !== 'yarn') fail(`.${name}`, value, `it to yarn: ${type} has none`);
    if (!Number.isFinite(value) || value <= 0) fail(`.${name}`, value, 'a number > 0');
  }
  if ((betaFast ?? 32) <= (betaSlow ?? 1)) fail('.betaFast', betaFast, `more than betaSlow = ${betaSlow ?? 1}`);
}
