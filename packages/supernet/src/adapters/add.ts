// addAdapters: a network whose weights stay as they are, with low-rank adapters that are trained in their place.
import * as tf from '@tensorflow/tfjs';
import type { WeightSlot } from '@hip/checkpoints';
import { elementCount, integerOption, positiveInteger } from '../counts.ts';
import type { SpaceChoices } from '../elastic/types.ts';
import { SupernetError } from '../errors.ts';
import { TransformerModel } from '../model/transformer.ts';
import type { ElasticModel } from '../model/types.ts';
import { type SlotValues, weightVariable } from '../model/variables.ts';
import { SeededRandom } from '../random.ts';
import { adaptableSlots, adapterSlots, targetOf } from './slots.ts';
import { ADAPTER_TARGETS, type AdaptedProduct, type AdapterTarget, type Adapters } from './types.ts';

/** Options of {@link addAdapters}. */
export interface AdapterOptions {
  /** Products of every layer that get one; of two branches both. @defaultValue ['query', 'value'] */
  readonly targets?: readonly AdapterTarget[] | undefined;
  /** @defaultValue the largest of `ranks`, else 8 */
  readonly rank?: number | undefined;
  /** α: what an adapter adds is scaled by α / rank, of smaller ranks too. @defaultValue rank */
  readonly alpha?: number | undefined;
  /** Choices of the rank of each layer that a search has, 0 among them for none. @defaultValue not elastic */
  readonly ranks?: readonly number[] | undefined;
  /**
   * Whether the model's head and pooler are trained too, as copies of its own.
   *
   * @defaultValue of classifiers, whose head is new; not of language models and encoders
   */
  readonly head?: boolean | undefined;
  /** Of what A begins with. @defaultValue 0 */
  readonly seed?: number | undefined;
}

/**
 * A model that computes with another one's weights and with low-rank adapters beside them (LoRA, Hu 2021): `fineTune` then trains the
 * adapters, and a classifier's head, and leaves everything else alone, so that gradients, moments and saved states are of those only. A
 * begins at random in ±1/√in, B at zero: the network computes what it did. Several may share one base. Dispose it before the base; what
 * changes the base's weights changes it too.
 *
 * Ranks are nested: a sub-network of rank r has the first r columns of A and rows of B (`ranks` of a `SubnetConfig`), so that
 * super-network training trains all of them at once (LoNAS, Muñoz 2024; Shears, Muñoz 2024).
 *
 * @throws SupernetError `invalid-option` naming the option, the value and what it may be (a model that has adapters already, too)
 *
 * @example
 * ```ts
 * import { addAdapters, countAdapters, loadCheckpoint, setUpTfjs } from '@instatune/supernet';
 *
 * await setUpTfjs({ backends: ['wasm', 'cpu'] });
 * const { model } = await loadCheckpoint('./books-lm-6m');
 * const adapted = addAdapters(model, { targets: ['query', 'value', 'up'], ranks: [0, 4, 8], alpha: 16 });
 * console.log(adapted.space.ranks, countAdapters(adapted).parameters < 0.05 * 6e6); // => [ 0, 4, 8 ] true
 * ```
 */
export function addAdapters(model: ElasticModel, options: AdapterOptions = {}): ElasticModel {
  if (model.adapters) {
    const message = 'the model has adapters already: give their base, or merge them into it by extractModel';
    throw new SupernetError('invalid-option', message, { family: model.family });
  }
  const { ranks } = options;
  for (const rank of ranks ?? []) integerOption('ranks', rank, 0);
  const rank = positiveInteger('rank', options.rank ?? (Math.max(0, ...(ranks ?? [])) || 8));
  const beyond = ranks?.find((each) => each > rank);
  if (beyond !== undefined || ranks?.length === 0) {
    const message = `ranks = ${ranks?.join(', ') || '(none)'}: use some of 0…${rank}, or a larger rank`;
    throw new SupernetError('invalid-option', message, { ranks, rank });
  }
  const alpha = options.alpha ?? rank;
  if (!(alpha > 0 && Number.isFinite(alpha))) {
    throw new SupernetError('invalid-option', `alpha = ${alpha}: expected a positive number`, { alpha });
  }
  const weights = adaptedSlots(model, options.targets ?? ['query', 'value']);
  const random = new SeededRandom(integerOption('seed', options.seed ?? 0));
  const products = weights.map((slot): AdaptedProduct => ({
    name: slot.name.replace(/\.weight$/, ''),
    layer: slot.layer as number,
    rank,
    scale: alpha / rank,
  }));
  const isClassifier = model.config.head.endsWith('-classification') || model.config.head.endsWith('answering');
  const replaced = (options.head ?? isClassifier) ? headSlots(model) : [];
  const values = new Map<string, Float32Array>();
  for (const [index, product] of products.entries()) {
    const [a, b] = adapterSlots(product, weights[index] as WeightSlot);
    const bound = 1 / Math.sqrt(a.shape[0] as number);
    values.set(
      a.name,
      Float32Array.from({ length: elementCount(a.shape) }, () => bound * (2 * random.next() - 1)),
    );
    values.set(b.name, new Float32Array(elementCount(b.shape)));
  }
  return adaptedModel(model, { products, replaced, values, ranks });
}

/** What {@link adaptedModel} is made of beside the base. */
export interface AdapterParts {
  readonly products: readonly AdaptedProduct[];
  readonly replaced: readonly string[];
  /** A and B by slot name; of a replaced slot too where it does not begin as the base's. */
  readonly values: ReadonlyMap<string, Float32Array>;
  readonly ranks: readonly number[] | undefined;
}

/** A base's variables with adapters of these values beside them. */
export function adaptedModel(
  base: ElasticModel,
  { products, replaced, values, ranks }: AdapterParts,
): TransformerModel {
  const byName = new Map(base.slots.map((slot) => [slot.name, slot]));
  const slots = products.flatMap((product) =>
    adapterSlots(product, byName.get(`${product.name}.weight`) as WeightSlot),
  );
  const weights = new Map(
    slots.map(({ name, shape }) => [name, weightVariable(values.get(name) as Float32Array, shape)] as const),
  );
  const own = new Map<string, SlotValues>(base.weights);
  const copies: tf.Variable[] = [];
  for (const name of replaced) {
    const given = values.get(name);
    const { shape } = byName.get(name) as WeightSlot;
    const copy = given ? weightVariable(given, shape) : copyOf(base.weights.get(name) as tf.Variable);
    copies.push(copy);
    own.set(name, copy);
  }
  const { layers, heads, ffn, hidden, groupHeads, skip } = base.space;
  const choices: SpaceChoices = { layers, heads, ffn, hidden, groupHeads, skip, ranks };
  const adapters: Adapters = { products, replaced, slots, weights };
  return new TransformerModel(base.config, own, choices, base.source, base.generation, { adapters, copies });
}

function copyOf(variable: tf.Variable): tf.Variable {
  const initial = tf.tidy(() => tf.mul(variable, 1));
  const copy = tf.variable(initial, true);
  initial.dispose();
  return copy;
}

/** Weights of the products that are named. @throws SupernetError `invalid-option` */
function adaptedSlots({ config, family }: ElasticModel, targets: readonly AdapterTarget[]): readonly WeightSlot[] {
  const slots = adaptableSlots(config);
  const known = ADAPTER_TARGETS.filter((target) => slots.some((slot) => targetOf(slot) === target));
  const alien = targets.find((target) => !known.includes(target));
  if (alien !== undefined || targets.length === 0) {
    const message = `targets = ${targets.join(', ') || '(none)'}: a ${family} model has ${known.join(', ')}`;
    throw new SupernetError('invalid-option', message, { targets, known });
  }
  return slots.filter((slot) => targets.includes(targetOf(slot) as AdapterTarget));
}

function headSlots({ slots }: ElasticModel): readonly string[] {
  return slots.flatMap(({ name }) => (/^(head|pooler)\b/.test(name) ? [name] : []));
}
