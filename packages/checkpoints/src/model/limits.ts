// A configuration against the files it came with, before anything is made of it: no more than they hold, numbers in their ranges.
import { CheckpointError } from '../errors.ts';
import { quoted } from '../quote.ts';
import { elementCount } from '../shape.ts';
import type { ModelConfig, RopeConfig } from './config.ts';
import { weightSlots } from './slots.ts';

/** Largest count, position or extent: what an int32 holds. */
const MAX_COUNT = 2 ** 31 - 1;
const MAX_THETA = 1e15;
/** Elements that a byte of a file holds at most: no type takes less than a bit. */
const ELEMENTS_A_BYTE = 8;
/** Elements that cost nothing worth refusing before they are read. */
const HARMLESS = 2 ** 20;
/** Elements at most of a weight that may be absent and is then drawn anew (a head). */
const MAX_NEW_ELEMENTS = 2 ** 30;

/**
 * Checks that a model has no more layers than its files have tensors: lists with an entry a layer are made while a configuration is read.
 *
 * @param layers - as config.json has it
 * @throws CheckpointError `invalid-config`
 */
export function requireLayers(key: string, layers: unknown, tensors: number): void {
  if (typeof layers !== 'number' || layers <= Math.max(1, tensors)) return;
  const message = `config.json: ${key} is ${quoted(layers)}, the files hold ${tensors} tensors in all`;
  throw new CheckpointError('invalid-config', message, { key, value: layers, tensors });
}

/**
 * Checks the numbers of a configuration, and that no weight is larger than all its files.
 *
 * @param byteLength - of all tensors, where that is known
 * @throws CheckpointError `invalid-config` naming the field
 */
export function requireWithinLimits(config: ModelConfig, byteLength: number | undefined): void {
  requireCounts(config);
  requireNumbers(config);
  for (const { name, shape } of weightSlots(config)) {
    const elements = elementCount(shape);
    const isHead = /^(head|pooler)\b/.test(name);
    const most = isHead ? MAX_NEW_ELEMENTS : (byteLength ?? Infinity) * ELEMENTS_A_BYTE;
    if (elements <= Math.max(most, HARMLESS)) continue;
    const whole = isHead ? `at most ${most} are made` : `the files hold ${byteLength} bytes in all`;
    const message = `config.json implies ${name} ${quoted(shape)} of ${elements} elements, ${whole}`;
    throw new CheckpointError('invalid-config', message, { slot: name, shape, byteLength });
  }
}

function requireCounts(config: ModelConfig): void {
  const { hiddenSize, layers, heads, kvHeads, headSize, ffn, maxPositions } = config;
  const positive = { hiddenSize, layers, heads, kvHeads, headSize, ffn, maxPositions };
  for (const [field, value] of Object.entries(positive))
    check(field, value, isCount(value, 1), `an integer in 1 … ${MAX_COUNT}`);
  const { vocabSize, typeVocabSize, labels, positionRows, positionOffset, textPositionRows = 0 } = config;
  const natural = { vocabSize, typeVocabSize, labels, positionRows, positionOffset, textPositionRows };
  for (const [field, value] of Object.entries(natural))
    check(field, value, isCount(value, 0), `an integer in 0 … ${MAX_COUNT}`);
  const { span, maxDistance } = config.relativeAttention ?? { span: 1, maxDistance: 2 };
  check('relative positions', span, isCount(span, 1), `an integer in 1 … ${MAX_COUNT}`);
  check('max_relative_positions', maxDistance, isCount(maxDistance, 1), `an integer in 1 … ${MAX_COUNT}`);
  for (const window of config.slidingWindows ?? []) check('slidingWindows', window, isCount(window, 0), 'integers ≥ 0');
}

function requireNumbers(config: ModelConfig): void {
  const { epsilon } = config.norm;
  check('norm epsilon', epsilon, epsilon > 0 && epsilon < 1, 'a number in (0, 1)');
  check('dropout', config.dropout, config.dropout >= 0 && config.dropout < 1, 'a number in [0, 1)');
  const { attentionScale, attentionSoftcap, logitSoftcap } = config;
  for (const [field, value] of Object.entries({ attentionScale, attentionSoftcap, logitSoftcap })) {
    if (value !== undefined) check(field, value, value > 0 && value < Infinity, 'a positive number');
  }
  const { embeddingScale, residualScale, logitScale } = config;
  for (const [field, value] of Object.entries({ embeddingScale, residualScale, logitScale })) {
    if (value !== undefined) check(field, value, Number.isFinite(value), 'a finite number');
  }
  for (const rope of [config.rope, config.ropeLocal]) if (rope) requireRope(rope);
}

function requireRope({ theta, attentionFactor, inverseFrequencies, dynamic, long }: RopeConfig): void {
  check('rope theta', theta, theta > 0 && theta <= MAX_THETA, `a number in (0, ${MAX_THETA}]`);
  check(
    'rope attention factor',
    attentionFactor,
    attentionFactor > 0 && attentionFactor < Infinity,
    'a positive number',
  );
  for (const frequency of [...inverseFrequencies, ...(long?.inverseFrequencies ?? [])]) {
    check('rope frequency', frequency, frequency >= 0 && frequency < Infinity, 'a number ≥ 0');
  }
  if (dynamic)
    check('rope factor', dynamic.factor, dynamic.factor > 0 && dynamic.factor < Infinity, 'a positive number');
  if (long) check('original_max_position_embeddings', long.beyond, isCount(long.beyond, 1), 'a positive integer');
}

function isCount(value: number, least: number): boolean {
  return Number.isInteger(value) && value >= least && value <= MAX_COUNT;
}

function check(field: string, value: number, isRight: boolean, expected: string): void {
  if (isRight) return;
  throw new CheckpointError('invalid-config', `config.json: ${field} = ${value}, expected ${expected}`, {
    field,
    value,
  });
}
