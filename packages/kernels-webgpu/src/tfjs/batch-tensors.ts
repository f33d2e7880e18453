// tfjs' tensors of a batch, sequence by sequence, as a session takes them: stored as the cache stores, one sequence's rows at a time.
import type { TensorInfo } from '@tensorflow/tfjs';
import { HipError } from '@hip/mask-search';
import type { ElementType } from '../device/features.ts';
import type { StepTensors } from '../decode/tensors.ts';
import { GpuCall } from '../dispatch/call.ts';
import type { GpuContext } from '../dispatch/context.ts';
import { emptyTensor, tensorBytes, type GpuTensor } from '../dispatch/tensor.ts';
import { encodeConvert } from './convert.ts';

export interface BatchShape {
  readonly batch: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly type: ElementType;
}

const STORAGE = 0x80 | 0x08 | 0x04; // STORAGE | COPY_DST | COPY_SRC

export class BatchTensors implements Disposable {
  readonly #context: GpuContext;
  readonly #shape: BatchShape;
  /** One row of one sequence: steps are bound to it once. */
  readonly row: StepTensors;

  constructor(context: GpuContext, shape: BatchShape) {
    this.#context = context;
    this.#shape = shape;
    this.row = this.#each((count, name) =>
      emptyTensor({ context, type: shape.type, length: count * shape.headDim, label: `row of ${name}` }),
    );
  }

  /** @throws HipError `invalid-shape` unless q, k and v are the next tokens of the batch */
  check(q: TensorInfo, k: TensorInfo, v: TensorInfo): void {
    const { batch, heads, kvHeads, headDim } = this.#shape;
    const tokens = q.shape[1];
    for (const [name, { shape }, count] of [
      ['q', q, heads],
      ['k', k, kvHeads],
      ['v', v, kvHeads],
    ] as const) {
      const expected = [batch, tokens, count, headDim];
      if (shape.join() !== expected.join())
        throw new HipError('invalid-shape', `${name} is [${shape.join()}]: give [${expected.join()}]`, {
          name,
          shape,
          expected,
        });
    }
  }

  /** Copies sequence `index`'s rows of q, k and v. */
  load(from: StepTensors, to: StepTensors, index: number, tokens: number): void {
    using call = new GpuCall(this.#context);
    for (const [name, count] of this.#counts()) {
      if (name === 'out') continue;
      const length = tokens * count * this.#shape.headDim;
      encodeConvert(call, { from: from[name], fromFirst: index * length, to: to[name], count: length });
    }
    call.submit();
  }

  /** Copies the output's rows to sequence `index`'s. */
  store(from: StepTensors, to: StepTensors, index: number, tokens: number): void {
    using call = new GpuCall(this.#context);
    const length = tokens * this.#shape.heads * this.#shape.headDim;
    encodeConvert(call, { from: from.out, to: to.out, toFirst: index * length, count: length });
    call.submit();
  }

  /** Gives `action` sequence `index`'s rows: the tensors themselves where they are what it takes, else copies. */
  borrow(tensors: StepTensors, index: number, tokens: number, action: (own: StepTensors) => void): void {
    const { batch, type, headDim } = this.#shape;
    if (batch === 1 && type === 'f32') {
      action(tensors);
      return;
    }
    const { pool } = this.#context;
    const taken: GPUBuffer[] = [];
    try {
      const own = this.#each((count, name): GpuTensor => {
        const length = tokens * count * headDim;
        const buffer = pool.take(tensorBytes(type, length), STORAGE, `rows of ${name}`);
        taken.push(buffer);
        return { buffer, type, length };
      });
      this.load(tensors, own, index, tokens);
      action(own);
      this.store(own, tensors, index, tokens);
    } finally {
      // The queue runs in order: who takes them next comes later.
      for (const buffer of taken) pool.give(buffer);
    }
  }

  [Symbol.dispose](): void {
    for (const { buffer } of Object.values(this.row) as GpuTensor[]) buffer.destroy();
  }

  #counts(): (readonly ['q' | 'k' | 'v' | 'out', number])[] {
    const { heads, kvHeads } = this.#shape;
    return [
      ['q', heads],
      ['k', kvHeads],
      ['v', kvHeads],
      ['out', heads],
    ];
  }

  #each(make: (heads: number, name: string) => GpuTensor): StepTensors {
    return Object.fromEntries(
      this.#counts().map(([name, count]) => [name, make(count, name)]),
    ) as unknown as StepTensors;
  }
}
