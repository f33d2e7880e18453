// Hand-written WGSL on tfjs-webgpu's own queue and buffers: chains of small tfjs ops become one dispatch each.
import * as tf from '@tensorflow/tfjs';
import { gpuBackend } from './tfjs-backend.ts';
import type { UniformData } from './tfjs-backend.ts';

/** A kernel. Inputs are `array<f32>` or `array<i32>` by name, the output is `result`; `uniforms.NAME` are the uniforms. */
export interface Kernel {
  readonly name: string;
  readonly inputs: readonly string[];
  /** Uniform names in order, `i` = i32, `f` = f32. */
  readonly uniforms?: Readonly<Record<string, 'i' | 'f'>>;
  readonly workgroupSize: number;
  /** WGSL with `fn main(index : i32)`; index = workgroup · workgroupSize + invocation. */
  readonly code: string;
}

/** What a dispatch computes. */
export interface Dispatch {
  readonly inputs: readonly tf.Tensor[];
  readonly uniforms?: readonly number[];
  /** Workgroups. */
  readonly groups: number;
}

/** Runs a kernel into a new float32 tensor. */
export function runKernel<R extends tf.Rank>(kernel: Kernel, shape: tf.ShapeMap[R], dispatch: Dispatch): tf.Tensor<R> {
  const info = submit(kernel, shape, dispatch);
  return tf.engine().makeTensorFromTensorInfo(info) as tf.Tensor<R>;
}

/** Runs a kernel that changes `target` in place: `result` holds its values. */
export function runInPlace(kernel: Kernel, target: tf.Tensor, dispatch: Dispatch): void {
  submit(kernel, target.shape, dispatch, target);
  // A copy that an earlier read left on the host is out of date now.
  gpuBackend().tensorMap.get(target.dataId).values = null;
}

function submit(kernel: Kernel, shape: readonly number[], dispatch: Dispatch, output?: tf.Tensor): tf.TensorInfo {
  const backend = gpuBackend();
  const fields = Object.entries(kernel.uniforms ?? {});
  const program = {
    variableNames: [...kernel.inputs],
    outputShape: [...shape],
    dispatchLayout: { x: shape.map((_, axis) => axis) },
    dispatch: [dispatch.groups, 1, 1],
    workgroupSize: [kernel.workgroupSize, 1, 1],
    shaderKey: `instatune-${kernel.name}`,
    uniforms: fields.map(([name, type]) => `${name} : ${type}32,`).join(' '),
    getUserCode: () => kernel.code,
  };
  const uniforms = fields.map(([, type], i): UniformData => ({
    type: type === 'i' ? 'int32' : 'float32',
    data: [dispatch.uniforms?.[i] as number],
  }));
  return backend.runWebGPUProgram(program, dispatch.inputs, 'float32', uniforms, output);
}

const COPY: Kernel = {
  name: 'copy',
  inputs: ['x'],
  uniforms: { count: 'i' },
  workgroupSize: 64,
  code: 'fn main(index : i32) { if (index < uniforms.count) { result[index] = x[index]; } }',
};

/** The same float32 numbers in memory of their own. */
export function copyOf<T extends tf.Tensor>(x: T): T {
  return runKernel(COPY, x.shape as never, { inputs: [x], uniforms: [x.size], groups: groupsFor(x.size, 64) }) as T;
}

/** Workgroups that cover `count` elements. */
export function groupsFor(count: number, workgroupSize: number): number {
  return Math.max(1, Math.ceil(count / workgroupSize));
}

/** WGSL: sum over the workgroup of `size` (a power of two) invocations; every invocation gets it. */
export function reduction(size: number): string {
  const combine = (name: string, operation: string) => `
    fn ${name}(value : f32, tid : i32) -> f32 {
      shared_values[tid] = value;
      workgroupBarrier();
      for (var reach = ${size / 2}; reach > 0; reach = reach >> 1) {
        if (tid < reach) { shared_values[tid] = ${operation}; }
        workgroupBarrier();
      }
      let total = shared_values[0];
      workgroupBarrier();
      return total;
    }`;
  return `
    var<workgroup> shared_values : array<f32, ${size}>;
    ${combine('group_sum', 'shared_values[tid] + shared_values[tid + reach]')}
    ${combine('group_max', 'max(shared_values[tid], shared_values[tid + reach])')}`;
}
