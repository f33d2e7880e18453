// Hand-written WGSL on tfjs-webgpu's own queue and buffers: chains of small tfjs ops become one dispatch each.
import * as tf from '@tensorflow/tfjs';

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

interface UniformData {
  readonly type: 'int32' | 'float32';
  readonly data: number[];
}

/** The part of tfjs-webgpu's backend used here; structural, so that the backend stays an optional peer. */
interface Backend {
  readonly tensorMap: { get(dataId: object): { values: unknown } };
  refCount(dataId: object): number;
  runWebGPUProgram(
    program: object,
    inputs: readonly tf.TensorInfo[],
    dtype: tf.DataType,
    uniforms: readonly UniformData[],
    output?: tf.TensorInfo,
  ): tf.TensorInfo;
}

/** Whether the current backend runs {@link runKernel}. */
export function onWebGpu(): boolean {
  return tf.getBackend() === 'webgpu' && 'runWebGPUProgram' in tf.backend();
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
  (tf.backend() as unknown as Backend).tensorMap.get(target.dataId).values = null;
}

/** Whether other tensors have the same values by reference (a reshape of it, say): changing one changes all. */
export function isShared(tensor: tf.Tensor): boolean {
  return (tf.backend() as unknown as Backend).refCount(tensor.dataId) > 1;
}

function submit(kernel: Kernel, shape: readonly number[], dispatch: Dispatch, output?: tf.Tensor): tf.TensorInfo {
  const backend = tf.backend() as unknown as Backend;
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
