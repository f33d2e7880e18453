// The whole state of a run as one safetensors file: what is trained, optimiser moments, random state, data position, loss curve.
import * as tf from '@tensorflow/tfjs';
import * as v from 'valibot';
import { trainedSlots, trainedWeights } from '../../adapters/trained.ts';
import { openSafetensors, safetensorsChunks, type TensorToWrite } from '@hip/checkpoints';
import type { LoaderState } from '../../data/loader.ts';
import { SupernetError } from '../../errors.ts';
import { requireFinite } from '../../model/finite.ts';
import type { ElasticModel } from '../../model/types.ts';
import type { AdamW } from '../optimizer/adamw.ts';
import type { MomentArrays } from '../optimizer/moments.ts';
import type { WeightAverage } from '../optimizer/average.ts';
import { Checksum, bytesOf } from './checksum.ts';
import { isStart } from './fingerprint.ts';
import type { RandomState } from '../../random.ts';
import type { StateStore } from './store.ts';

/** A point of the loss curve. */
export interface LossPoint {
  readonly step: number;
  readonly loss: number;
  readonly learningRate: number;
}

/** Everything of a run that is no tensor. */
export interface RunState {
  /** Steps done. */
  readonly step: number;
  readonly random: RandomState;
  readonly loader: LoaderState;
  readonly history: readonly LossPoint[];
  /** Options that must be equal for a run to go on. */
  readonly fingerprint: string;
  /** {@link dataFingerprint} and {@link weightsFingerprint} of what the run began with. */
  readonly began: { readonly data: string | null; readonly weights: string };
}

/** What is trained beside the weights. */
interface Trained {
  readonly optimizer: AdamW;
  readonly average?: WeightAverage;
}

/** Name of the tensor that sums up all bytes before it. */
const CHECKSUM = 'checksum';

const word = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(2 ** 32 - 1));
const count = v.pipe(v.number(), v.integer(), v.minValue(0));
const schema = v.object({
  version: v.literal(2),
  step: count,
  random: v.tuple([word, word, word, word]),
  loader: v.object({ epoch: count, position: count, batches: v.optional(count) }),
  history: v.array(v.tuple([count, v.number(), v.number()])),
  fingerprint: v.string(),
  began: v.object({ data: v.nullable(v.string()), weights: v.string() }),
  moments: v.record(v.string(), count),
});

/** Writes the state of a run. @throws SupernetError `non-finite` (a weight): what the store holds stays */
export async function saveState(
  store: StateStore,
  model: ElasticModel,
  { optimizer, average }: Trained,
  run: RunState,
): Promise<void> {
  const tensors: TensorToWrite[] = [];
  const [slots, weights] = [trainedSlots(model), trainedWeights(model)];
  for (const { name, shape } of slots) {
    const data = (await (weights.get(name) as tf.Variable).data()) as Float32Array;
    requireFinite(name, data);
    tensors.push({ name: `weights.${name}`, shape, data });
  }
  const shapes = new Map(slots.map((slot) => [slot.name, slot.shape]));
  const moments: Record<string, number> = {};
  for (const [name, { first, second, steps }] of await optimizer.state()) {
    const shape = shapes.get(name) as readonly number[];
    tensors.push({ name: `first.${name}`, shape, data: first }, { name: `second.${name}`, shape, data: second });
    moments[name] = steps;
  }
  for (const [name, data] of (await average?.state()) ?? [])
    tensors.push({ name: `average.${name}`, shape: shapes.get(name) as readonly number[], data });
  const { history, ...rest } = run;
  const json = { version: 2, ...rest, history: history.map((p) => [p.step, p.loss, p.learningRate]), moments };
  tensors.push({ name: CHECKSUM, shape: [2], data: new Int32Array(2) });
  await store.save(summedUp(safetensorsChunks(tensors, { format: 'pt', run: JSON.stringify(json) })));
}

/** The chunks with the sum of all but the last one in that one's place. */
function* summedUp(chunks: Iterable<Uint8Array>): Generator<Uint8Array> {
  const sum = new Checksum();
  let last: Uint8Array | undefined;
  for (const chunk of chunks) {
    if (last) {
      sum.add(last);
      yield last;
    }
    last = chunk;
  }
  yield bytesOf(sum.words());
}

/** @throws SupernetError `invalid-checkpoint` unless the last bytes sum up all others */
function requireSum(bytes: Uint8Array): void {
  const sum = bytesOf(new Checksum().add(bytes.subarray(0, -8)).words());
  const stored = bytes.subarray(-8);
  if (bytes.byteLength > 8 && sum.every((byte, i) => byte === stored[i])) return;
  throw damagedState();
}

function damagedState(cause?: unknown): SupernetError {
  const message = 'the training state is damaged, or of an earlier version: delete it to start over';
  return new SupernetError('invalid-checkpoint', message, {}, { cause });
}

/**
 * Reads a state into model and optimiser; undefined when the store is empty.
 *
 * @throws SupernetError `invalid-checkpoint` when it is damaged, of other options, or of another model
 */
export async function loadState(
  store: StateStore,
  model: ElasticModel,
  { optimizer, average }: Trained,
  fingerprint: string,
  began: RunState['began'],
): Promise<RunState | undefined> {
  const bytes = await store.load();
  if (!bytes) return undefined;
  requireSum(bytes);
  const file = await openSafetensors(bytes).catch((cause: unknown) => {
    throw damagedState(cause);
  });
  const { moments, history, version: _, ...run } = parseRun(file.metadata['run']);
  if (run.fingerprint !== fingerprint) {
    throw new SupernetError(
      'invalid-checkpoint',
      'the training state belongs to a run with other options: resume with the same options, or delete it',
      { stored: run.fingerprint, wanted: fingerprint },
    );
  }
  if (run.began.data !== began.data) {
    throw new SupernetError(
      'invalid-checkpoint',
      'the training state belongs to a run on other data: resume with the same data, or delete it',
      { stored: run.began.data, wanted: began.data },
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
  const averages = new Map<string, Float32Array>();
  const [slots, weights] = [trainedSlots(model), trainedWeights(model)];
  for (const { name, shape } of slots) {
    if (average) averages.set(name, await read(`average.${name}`, shape));
    values.set(name, await read(`weights.${name}`, shape));
    const steps = moments[name];
    if (steps === undefined) continue;
    state.set(name, { first: await read(`first.${name}`, shape), second: await read(`second.${name}`, shape), steps });
  }
  if (!isStart(model, run.began.weights, began.weights)) {
    throw new SupernetError(
      'invalid-checkpoint',
      'the training state belongs to a run that began with other weights: resume with the checkpoint that it began with, or delete it',
      { stored: run.began.weights, wanted: began.weights },
    );
  }
  // Nothing is changed before all of it has been read.
  optimizer.restore(state);
  average?.restore(averages);
  for (const { name, shape } of slots) {
    tf.tidy(() => weights.get(name)?.assign(tf.tensor(values.get(name) as Float32Array, [...shape])));
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
