// A teacher that is asked once an example: what it said is kept, and a step costs no pass through it any more.
import * as tf from '@tensorflow/tfjs';
import { batchRows } from '../../data/batch-rows.ts';
import { disposeInputs, inputTensors } from '../../data/dataset.ts';
import type { HostBatch } from '../../data/dataset.ts';
import { SupernetError } from '../../errors.ts';
import type { AttentionFunction, ElasticModel, ModelInputs } from '../../model/types.ts';
import { answerKeys } from './answer-keys.ts';
import { createAnswerStore } from './answer-store.ts';
import type { Answer, AnswerStore } from './answer-store.ts';
import { disposeTargets } from '../losses/targets.ts';
import { disposeTeacher } from '../losses/distributions.ts';
import type { TeacherDistribution } from '../losses/distributions.ts';
import { batchTargets, outputKind } from '../losses/outputs.ts';
import { askTeacher, membersOf, negativeEntropyOf } from './teacher.ts';
import type { Teacher } from './teacher.ts';

/** Options of a {@link TeacherCache}. */
export interface TeacherCacheOptions {
  /**
   * Bytes of answers to keep, on the GPU under tfjs-webgpu, in host memory elsewhere: an example takes 2 bytes a class (a
   * language model's window 2 bytes a token and word of the vocabulary). Examples beyond it are asked about each time.
   *
   * @defaultValue 1 GiB
   */
  readonly maxBytes?: number | undefined;
}

/** How a cache did. */
export interface TeacherCacheStatistics {
  /** Examples whose answer is kept. */
  readonly examples: number;
  /** Bytes taken by answers. */
  readonly bytes: number;
  /** Examples answered from the cache so far, and by the teacher. */
  readonly hits: number;
  readonly misses: number;
}

const DEFAULT_BYTES = 2 ** 30;

/** Of a batch that is partly known, a multiple of so many examples is asked about: a GPU makes buffers for every new shape. */
const ROUND = 8;

/**
 * A teacher for `fineTune` that keeps its answers. Text is the same in each epoch and in each run, so a teacher needs to read
 * it once: later steps, and later runs with the same cache, cost what training without a teacher costs. Kept are
 * probabilities in float16, and the first answer is rounded likewise, so that it does not matter whether an example was
 * seen before.
 *
 * Answers go by tokens, temperature and attention function. Images are asked about each time (augmentation does not show one
 * twice). The teacher must not change while a cache of it is in use.
 *
 * @example
 * ```ts
 * import * as tf from '@tensorflow/tfjs';
 * import { fineTune, loadCheckpoint, splitText, TeacherCache } from '@instatune/supernet';
 *
 * await tf.setBackend('cpu');
 * const folder = './books-lm-6m';
 * const [{ model, tokenizer }, { model: one }, { model: other }] = [
 *   await loadCheckpoint(folder), await loadCheckpoint(folder), await loadCheckpoint(folder)];
 * const { train } = splitText(tokenizer!.encode('Call me Ishmael. Some years ago, never mind how long precisely.'), {
 *   length: 4, stride: 4, validation: 0, report: 0 });
 * const teacher = new TeacherCache([one, other], { maxBytes: 64 * 2 ** 20 });
 * await fineTune(model, train, { strategy: 'kd-only', teacher, epochs: 2, batchSize: 2, learningRate: 1e-4 });
 * console.log(teacher.statistics().misses === train.length); // => true
 * teacher.dispose();
 * ```
 */
export class TeacherCache {
  /** The models that are asked; not disposed with the cache. */
  readonly members: readonly ElasticModel[];
  readonly #maxBytes: number;
  readonly #answers = new Map<string, Answer>();
  #store: { readonly backend: string; readonly answers: AnswerStore } | undefined;
  #hits = 0;
  #misses = 0;
  /** Attention functions told apart. */
  readonly #attentions = new WeakMap<AttentionFunction, number>();
  #nextAttention = 1;

  /** @throws SupernetError `invalid-option` */
  constructor(teacher: Teacher, { maxBytes = DEFAULT_BYTES }: TeacherCacheOptions = {}) {
    if (!(maxBytes >= 0)) {
      throw new SupernetError('invalid-option', `maxBytes = ${maxBytes}: expected a number of bytes ≥ 0`, { maxBytes });
    }
    this.members = [...membersOf(teacher)];
    this.#maxBytes = maxBytes;
  }

  statistics(): TeacherCacheStatistics {
    const bytes = this.#store?.answers.bytes ?? 0;
    return { examples: this.#answers.size, bytes, hits: this.#hits, misses: this.#misses };
  }

  /**
   * The teacher's distribution of a batch, as `askTeacher` gives it, in float16 precision. The caller disposes.
   *
   * @param inputs tensors of the batch
   * @throws SupernetError as `askTeacher`
   */
  ask(
    batch: HostBatch,
    inputs: ModelInputs,
    { temperature = 1, attention }: { readonly temperature?: number; readonly attention?: AttentionFunction } = {},
  ): TeacherDistribution {
    const question = { batch, inputs, how: { temperature, ...(attention && { attention }) } };
    const kind = outputKind((this.members[0] as ElasticModel).config);
    // What is kept is probabilities: values may be any numbers.
    const keys = kind === 'squared' ? undefined : answerKeys(batch);
    if (!keys) return put(this.members, question);
    const prefix = this.#prefixOf(question.how);
    const store = this.#openStore();
    try {
      const answers = this.#answersTo(
        question,
        keys.map((key) => prefix + key),
        store,
      );
      const probabilities = tf.tidy(() => {
        const rounded = store.collect(answers);
        if (kind !== 'softmax') return rounded;
        // Rounded rows do not sum to 1, and a loss would then depend on a constant in the student's logits.
        return tf.div(rounded, tf.sum(rounded, 1, true)) as tf.Tensor2D;
      });
      return { probabilities, negativeEntropy: negativeEntropyOf(probabilities, kind), temperature };
    } finally {
      store.release();
    }
  }

  /** Forgets all answers and frees their memory; the models stay. */
  dispose(): void {
    this.#store?.answers.dispose();
    this.#store = undefined;
    this.#answers.clear();
  }

  /** Answers by their keys; examples that are not known are asked about, and kept as far as there is room. */
  #answersTo(question: Question, keys: readonly string[], store: AnswerStore): Answer[] {
    const unknown = new Map<string, number>();
    for (const [index, key] of keys.entries()) {
      if (!this.#answers.has(key) && !unknown.has(key)) unknown.set(key, index);
    }
    this.#misses += unknown.size;
    this.#hits += keys.length - unknown.size;
    const said = new Map<string, Answer>();
    if (unknown.size > 0) {
      const kept = this.#learn(question, [...unknown.values()], store);
      for (const [index, key] of [...unknown.keys()].entries()) {
        const answer = kept[index] as Answer;
        (answer.stays ? this.#answers : said).set(key, answer);
      }
    }
    return keys.map((key) => (this.#answers.get(key) ?? said.get(key)) as Answer);
  }

  /** Asks about some examples of a batch. */
  #learn(question: Question, indices: readonly number[], store: AnswerStore): Answer[] {
    const count = Math.ceil(indices.length / ROUND) * ROUND;
    // Not more rows than the batch has.
    const isAll = count >= question.batch.size;
    const batch = isAll ? question.batch : batchRows(question.batch, filledUp(indices, count));
    const inputs = isAll ? question.inputs : inputTensors(batch);
    const blocks = isAll ? indices : indices.map((_, block) => block);
    try {
      const distribution = put(this.members, { ...question, batch, inputs });
      try {
        const { probabilities } = distribution;
        return store.keep(probabilities, blocks, probabilities.size / batch.size);
      } finally {
        disposeTeacher(distribution);
      }
    } finally {
      if (!isAll) disposeInputs(inputs);
    }
  }

  /** The store of the current backend; what another backend kept is forgotten. */
  #openStore(): AnswerStore {
    const backend = tf.getBackend();
    if (this.#store && this.#store.backend !== backend) this.dispose();
    this.#store ??= { backend, answers: createAnswerStore(this.#maxBytes) };
    return this.#store.answers;
  }

  #prefixOf({ temperature, attention }: Question['how']): string {
    let number = 0;
    if (attention) {
      number = this.#attentions.get(attention) ?? this.#nextAttention++;
      this.#attentions.set(attention, number);
    }
    return `${temperature}/${number}/`;
  }
}

interface Question {
  readonly batch: HostBatch;
  /** Tensors of the batch. */
  readonly inputs: ModelInputs;
  readonly how: { readonly temperature: number; readonly attention?: AttentionFunction };
}

/** Puts a question to the models. */
function put(models: readonly ElasticModel[], { batch, inputs, how }: Question): TeacherDistribution {
  const targets = batchTargets((models[0] as ElasticModel).config, batch);
  try {
    return askTeacher(models, inputs, { targets, ...how });
  } finally {
    disposeTargets(targets);
  }
}

/** `count` indices, the first one again where there are not so many. */
function filledUp(indices: readonly number[], count: number): number[] {
  return Array.from({ length: count }, (_, i) => indices[i] ?? (indices[0] as number));
}
