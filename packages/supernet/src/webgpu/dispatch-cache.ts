// Dispatches of tfjs-webgpu without a new uniform buffer and bind group each: training repeats the same ones every step.
import * as tf from '@tensorflow/tfjs';

/** Beyond so many, those that were not used lately are forgotten: shapes that never repeat would pile up. */
const LIMIT = 16_384;

interface UniformField {
  readonly type: string;
  readonly data: readonly number[];
}

interface UniformBinding {
  readonly offset: number;
  readonly size: number;
  readonly buffer: object;
}

interface BufferResource {
  readonly buffer?: object;
  readonly offset?: number;
  readonly size?: number;
}

interface BindGroupDescriptor {
  readonly layout: object;
  readonly entries: readonly { readonly binding: number; readonly resource: BufferResource }[];
}

interface Pipeline {
  getBindGroupLayout(index: number): object;
}

/** What is replaced: one method of the backend, two of its device. */
interface Patched {
  makeUniforms(fields: readonly UniformField[]): UniformBinding;
  readonly uniformPendingDisposal: object[];
  readonly commandEncoder: object | null;
  readonly bufferManager: { readonly freeBuffers: ReadonlyMap<string, object[]> };
  endComputePassEncoder(): void;
  submitQueue(): void;
  readonly device: {
    createBindGroup(descriptor: BindGroupDescriptor): object;
    createComputePipeline(descriptor: object): Pipeline;
  };
}

/** A map in two generations: when the younger one is full, the older one is dropped, less what has been used meanwhile. */
class RecentMap<Value> {
  #young = new Map<string, Value>();
  #old = new Map<string, Value>();

  get(key: string): Value | undefined {
    const known = this.#young.get(key);
    if (known !== undefined) return known;
    const older = this.#old.get(key);
    if (older !== undefined) this.set(key, older);
    return older;
  }

  set(key: string, value: Value): void {
    if (this.#young.size >= LIMIT) {
      this.#old = this.#young;
      this.#young = new Map();
    }
    this.#young.set(key, value);
  }
}

/** How to start work in the state that the like of it started in before, by backend. */
const patched = new WeakMap<object, () => void>();

/** Call before work that resembles earlier work: with equal dispatches it will get equal buffers, and so known bind groups. */
export function startRepeatedWork(): void {
  patched.get(tf.backend())?.();
}

/** Whether {@link reuseWebGpuBindings} has been called for the current backend. */
export function reusesBindings(): boolean {
  return patched.has(tf.backend());
}

/**
 * Makes the current tfjs-webgpu backend keep uniform buffers (by content) and bind groups (by layout and buffers) and use them again.
 * Encoding a training step costs the host about half as much then; what repeats from step to step `fineTune` records and plays again, which takes a fraction of that. Affects every tfjs program of this backend; its results do not
 * change. Does nothing on other backends, or the second time.
 *
 * @example
 * ```ts
 * import * as tf from '@tensorflow/tfjs';
 * import { reuseWebGpuBindings } from '@instatune/supernet';
 *
 * reuseWebGpuBindings(); // after tf.setBackend('webgpu')
 * ```
 */
export function reuseWebGpuBindings(): void {
  const backend = tf.backend() as unknown as Patched;
  if (tf.getBackend() !== 'webgpu' || !('makeUniforms' in backend) || patched.has(backend)) return;
  const { device } = backend;
  const uniforms = new RecentMap<UniformBinding>();
  const groups = new RecentMap<object>();
  const numbers = new WeakMap<object, number>();
  let next = 0;
  const numberOf = (object: object): number => {
    let number = numbers.get(object);
    if (number === undefined) numbers.set(object, (number = next++));
    return number;
  };
  patched.set(backend, () => {
    if (backend.commandEncoder) {
      backend.endComputePassEncoder();
      backend.submitQueue();
    }
    for (const free of backend.bufferManager.freeBuffers.values()) free.sort((a, b) => numberOf(b) - numberOf(a));
  });

  const makeUniforms = backend.makeUniforms.bind(backend);
  backend.makeUniforms = (fields) => {
    let key = '';
    for (const { type, data } of fields) key += `${type[0]}${data.join()};`;
    const known = uniforms.get(key);
    if (known) return known;
    const made = makeUniforms(fields);
    // Taken off the list of buffers to be used again: it is never written again.
    const at = backend.uniformPendingDisposal.lastIndexOf(made.buffer);
    if (at < 0) return made;
    backend.uniformPendingDisposal.splice(at, 1);
    uniforms.set(key, made);
    return made;
  };

  const createPipeline = device.createComputePipeline.bind(device);
  device.createComputePipeline = (descriptor) => {
    const pipeline = createPipeline(descriptor);
    const layout = pipeline.getBindGroupLayout(0);
    pipeline.getBindGroupLayout = () => layout;
    return pipeline;
  };

  const createBindGroup = device.createBindGroup.bind(device);
  device.createBindGroup = (descriptor) => {
    let key = String(numberOf(descriptor.layout));
    for (const { binding, resource } of descriptor.entries) {
      const { buffer, offset = 0, size = '' } = resource;
      if (!buffer) return createBindGroup(descriptor);
      // Others on this device (@hip/kernels-webgpu) bind parts of buffers, and other parts the next time.
      key += `,${binding}:${numberOf(buffer)}+${offset}:${size}`;
    }
    const known = groups.get(key);
    if (known) return known;
    const made = createBindGroup(descriptor);
    groups.set(key, made);
    return made;
  };
}
