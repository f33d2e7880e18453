// The whole state of a run as one safetensors file: weights, optimiser moments, random state, data position, loss curve.
import * as tf from '@tensorflow/tfjs';
import * as v from 'valibot';
import { openSafetensors, safetensorsChunks, type TensorToWrite } from '@hip/checkpoints';
import type { LoaderState } from '../data/loader.ts';
import { SupernetError } from '../errors.ts';
import { requireFinite } from '../model/finite.ts';
import type { ElasticModel } from '../model/types.ts';
import type { AdamW, MomentArrays } from './adamw.ts';
import type { LossPoint } from './progress.ts';
import type { RandomState } from './random.ts';
import type { StateStore } from './store.ts';

/** Everything of a run that is no tensor. */
export interface RunState {
  /** Steps done. */
  readonly step: number;
  readonly random: RandomState;
  readonly loader: LoaderState;
  readonly history: readonly LossPoint[];
  /** Options that must be equal for a run to go on. */
  readonly fingerprint: string;
}

const word = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(2 ** 32 - 1));
const count = v.pipe(v.number(), v.integer(), v.minValue(0));
const schema = v.object({
  version: v.literal(1),
  step: count,
  random: v.tuple([word, word, word, word]),
  loader: v.object({ epoch: count, position: count, batches: v.optional(count) }),
  history: v.array(v.tuple([count, v.number(), v.number()])),
  fingerprint: v.string(),
  moments: v.record(v.string(), count),
});

/** Writes the state of a run. @throws SupernetError `non-finite` (a weight): what the store holds stays */
export async function saveState(
  store: StateStore,
  model: ElasticModel,
  optimizer: AdamW,
  run: RunState,
): Promise<void> {
  const tensors: TensorToWrite[] = [];
  for (const { name, shape } of model.slots) {
    const data = (await (model.weights.get(name) as tf.Variable).data()) as Float32Array;
    requireFinite(name, data);
    tensors.push({ name: `weights.${name}`, shape, data });
  }
  const shapes = new Map(model.slots.map((slot) => [slot.name, slot.shape]));
  const moments: Record<string, number> = {};
  for (const [name, { first, second, steps }] of await optimizer.state()) {
    const shape = shapes.get(name) as readonly number[];
    tensors.push({ name: `first.${name}`, shape, data: first }, { name: `second.${name}`, shape, data: second });
    moments[name] = steps;
  }
  const { history, ...rest } = run;
  const json = { version: 1, ...rest, history: history.map((p) => [p.step, p.loss, p.learningRate]), moments };
  await store.save(safetensorsChunks(tensors, { format: 'pt', run: JSON.stringify(json) }));
}

/**
 * Reads a state into model and optimiser; undefined when the store is empty.
 *
 * @throws SupernetError `invalid-checkpoint` when it is damaged, of other options, or of another model
 */
export async function loadState(
  store: StateStore,
  model: ElasticModel,
  optimizer: AdamW,
  fingerprint: string,
): Promise<RunState | undefined> {
  const bytes = await store.load();
  if (!bytes) return undefined;
  const file = await openSafetensors(bytes).catch((cause: unknown) => {
    throw new SupernetError(
      'invalid-checkpoint',
      'the training state is damaged: delete it to start over',
      {},
      { cause },
    );
  });
  const { moments, history, version: _, ...run } = parseRun(file.metadata['run']);
  if (run.fingerprint !== fingerprint) {
    throw new SupernetError(
      'invalid-checkpoint',
      'the training state belongs to a run with other options: resume with the same options, or delete it',
      { stored: run.fingerprint, wanted: fingerprint },
    );
  }
  const read = async (name: string, shape: readonly number[]): Promise<Float32Array> => {
    const info = file.tensors.get(name);
    if (!info || info.shape.join() !== shape.join()) {
      throw new SupernetError('invalid-checkpoint', `the training state does not fit this model at ${name}`, { name });
    }
    return (await file.read(name)).data as Float32Array;
  };
  const state = new Map<string, MomentArrays>();
  const values = new Map<string, Float32Array>();
  for (const { name, shape } of model.slots) {
    values.set(name, await read(`weights.${name}`, shape));
    const steps = moments[name];
    if (steps === undefined) continue;
    state.set(name, { first: await read(`first.${name}`, shape), second: await read(`second.${name}`, shape), steps });
  }
  // Nothing is changed before all of it has been read.
  optimizer.restore(state);
  for (const { name, shape } of model.slots) {
    tf.tidy(() => model.weights.get(name)?.assign(tf.tensor(values.get(name) as Float32Array, [...shape])));
  }
  return { ...run, history: history.map(([step, loss, learningRate]) => ({ step, loss, learningRate })) };
}

function parseRun(text: string | undefined): v.InferOutput<typeof schema> {
  try {
    return v.parse(schema, JSON.parse(text ?? ''));
  } catch (cause) {
    throw new SupernetError('invalid-checkpoint', 'the file holds no training state', {}, { cause });
  }
}
