// The model kernels' job block: the host's copy of assembly/model/job.ts (a test compares the two), and the one block they all use.
import type { Engine } from '../runtime/engine.ts';

/** Field offsets in bytes; EPSILON and FACTOR are f32, all others 32-bit integers. */
export const MODEL_JOB = {
  NEXT: 0,
  ITEMS: 4,
  OUT: 8,
  X: 12,
  ROWS: 16,
  WIDTH: 20,
  SCRATCH: 24,
  SCRATCH_STRIDE: 28,
  OPERATION: 32,
  SECOND: 36,
  THIRD: 40,
  EPSILON: 44,
  FACTOR: 48,
  FLAG: 52,
  HEADS: 56,
  HEAD_DIM: 60,
  RUN: 64,
  IDS: 68,
  QUANTIZED: 72,
  QUANTIZED_STRIDE: 76,
  TARGET_COUNT: 80,
  FIRST_ROW: 84,
  TARGET: 88,
  TARGET_BYTES: 36,
} as const;

/** Of a target, from TARGET on. */
export const TARGET_FIELDS = {
  FIRST_ITEM: 0,
  TARGET_OUT: 4,
  BLOCKS: 8,
  TYPE: 12,
  ROW_BYTES: 16,
  OUTPUTS: 20,
  BIAS: 24,
  ADD: 28,
  SPECIAL: 32,
} as const;

export const MAX_TARGETS = 8;
const BYTES = MODEL_JOB.TARGET + MAX_TARGETS * MODEL_JOB.TARGET_BYTES;

/** Writes fields of target `index`. */
export function setTarget(
  job: ModelJob,
  index: number,
  fields: Partial<Record<keyof typeof TARGET_FIELDS, number>>,
): void {
  const at = MODEL_JOB.TARGET + index * MODEL_JOB.TARGET_BYTES;
  for (const name in fields) {
    const field = name as keyof typeof TARGET_FIELDS;
    job.set(at + TARGET_FIELDS[field], fields[field]!);
  }
}

/** The job block that a runtime's model kernels share: they run one after the other. */
export class ModelJob {
  readonly at: number;
  readonly #engine: Engine;
  #words: Int32Array;
  #floats: Float32Array;

  constructor(engine: Engine) {
    this.#engine = engine;
    this.at = engine.heap.allocate(BYTES);
    this.#words = engine.heap.ints(this.at, BYTES / 4);
    this.#floats = engine.heap.floats(this.at, BYTES / 4);
  }

  set(field: number, value: number): void {
    this.#words[field >> 2] = value;
  }

  get(field: number): number {
    return this.#words[field >> 2]!;
  }

  setFloat(field: number, value: number): void {
    this.#floats[field >> 2] = value;
  }

  /** Sets how many items there are, none taken. Views follow memory that has grown: the old ones would be empty. */
  begin(items: number): void {
    if (this.#words.buffer !== this.#engine.heap.memory.buffer) {
      this.#words = this.#engine.heap.ints(this.at, BYTES / 4);
      this.#floats = this.#engine.heap.floats(this.at, BYTES / 4);
    }
    this.#words[0] = 0;
    this.#words[1] = items;
  }
}
