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
  readonly device: { createShaderModule(of: object): object; createComputePipeline(of: object): object };
  readonly tensorMap: { get(dataId: object): { values: unknown } };
  uploadToGPU(dataId: object): void;
  makeTensorInfo(shape: number[], dtype: 'float32'): tf.TensorInfo;
  recordAndSubmit(
    program: object,
    output: tf.TensorInfo,
    inputs: readonly tf.TensorInfo[],
    uniforms: readonly UniformData[],
  ): void;
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

/** A kernel that writes several tensors, which tfjs' own programs cannot. All tensors are `array<f32>` by name. */
export interface ManyKernel {
  readonly name: string;
  /** Changed in place. */
  readonly writes: readonly string[];
  readonly reads: readonly string[];
  /** Uniform names in order, `i` = i32, `f` = f32. */
  readonly uniforms: Readonly<Record<string, 'i' | 'f'>>;
  readonly workgroupSize: number;
  /** WGSL with `fn run(index : u32)`. */
  readonly code: string;
}

/** Workgroups along one axis, at most. */
const MOST_GROUPS = 65_535;
const pipelines = new WeakMap<object, Map<string, object>>();

function pipelineOf({ device }: Backend, kernel: ManyKernel): object {
  const known = pipelines.get(device) ?? new Map<string, object>();
  pipelines.set(device, known);
  let pipeline = known.get(kernel.name);
  if (!pipeline) {
    const tensors = [...kernel.writes, ...kernel.reads];
    const bindings = tensors.map((name, i) => {
      const access = i < kernel.writes.length ? 'read_write' : 'read';
      return `@group(0) @binding(${i}) var<storage, ${access}> ${name} : array<f32>;`;
    });
    const own = Object.entries(kernel.uniforms).map(([name, type]) => `${name} : ${type}32`);
    const code = `
      struct Uniforms { ${[...uniformsOf(tensors), ...own].join(', ')} };
      ${bindings.join('\n')}
      @group(0) @binding(${tensors.length}) var<uniform> uniforms : Uniforms;
      ${kernel.code}
      @compute @workgroup_size(${kernel.workgroupSize})
      fn main(@builtin(workgroup_id) group : vec3u, @builtin(num_workgroups) groups : vec3u, @builtin(local_invocation_index) lane : u32) {
        run((group.y * groups.x + group.x) * ${kernel.workgroupSize} + lane);
      }`;
    pipeline = compile(device, code, kernel.name);
    known.set(kernel.name, pipeline);
  }
  return pipeline;
}

/** Runs a kernel on `count` invocations that changes the tensors it writes in place. No two of its tensors may share memory. */
export function runMany(
  kernel: ManyKernel,
  tensors: { readonly writes: readonly tf.Tensor[]; readonly reads: readonly tf.Tensor[] },
  uniforms: readonly number[],
  count: number,
): void {
  const backend = tf.backend() as unknown as Backend;
  const [output, ...inputs] = [...tensors.writes, ...tensors.reads].map(({ dataId, size, dtype }): tf.TensorInfo => {
    backend.uploadToGPU(dataId);
    return { dataId, shape: [size], dtype };
  });
  const groups = groupsFor(count, kernel.workgroupSize);
  const rows = Math.ceil(groups / MOST_GROUPS);
  const program = {
    shaderKey: `instatune-${kernel.name}`,
    pipeline: pipelineOf(backend, kernel),
    dispatch: [Math.ceil(groups / rows), rows, 1],
  };
  const data = Object.values(kernel.uniforms).map((type, i): UniformData => ({
    type: type === 'i' ? 'int32' : 'float32',
    data: [uniforms[i] as number],
  }));
  backend.recordAndSubmit(program, output as tf.TensorInfo, inputs, data);
  for (const { dataId } of tensors.writes) backend.tensorMap.get(dataId).values = null;
}

/** A kernel whose workgroups are tiles of its result, `array<f32>`. */
export interface TileKernel {
  readonly name: string;
  /** WGSL directives, which stand before everything else. */
  readonly enables: string;
  /** Tensors by name, and the type of their elements. */
  readonly reads: readonly (readonly [name: string, element: string])[];
  /** i32 each. */
  readonly uniforms: readonly string[];
  readonly workgroupSize: number;
  /** WGSL with `fn run(group : vec3<u32>, thread : u32, subgroup : u32)`. */
  readonly code: string;
}

/** Runs a kernel on workgroups [x, y, z] into a new float32 tensor. */
export function runTiles<R extends tf.Rank>(
  kernel: TileKernel,
  shape: tf.ShapeMap[R],
  reads: readonly tf.Tensor[],
  uniforms: readonly number[],
  workgroups: readonly [number, number, number],
): tf.Tensor<R> {
  const backend = tf.backend() as unknown as Backend;
  const flat = ({ dataId, size, dtype }: tf.Tensor): tf.TensorInfo => {
    backend.uploadToGPU(dataId);
    return { dataId, shape: [size], dtype };
  };
  const output = backend.makeTensorInfo([...shape], 'float32');
  backend.uploadToGPU(output.dataId);
  const size = shape.reduce((product, extent) => product * extent, 1);
  const program = {
    shaderKey: `instatune-${kernel.name}`,
    pipeline: tilePipelineOf(backend, kernel),
    dispatch: [...workgroups],
  };
  const data = uniforms.map((value): UniformData => ({ type: 'int32', data: [value] }));
  backend.recordAndSubmit(program, { ...output, shape: [size] }, reads.map(flat), data);
  return tf.engine().makeTensorFromTensorInfo(output) as tf.Tensor<R>;
}

function tilePipelineOf({ device }: Backend, kernel: TileKernel): object {
  const known = pipelines.get(device) ?? new Map<string, object>();
  pipelines.set(device, known);
  let pipeline = known.get(kernel.name);
  if (!pipeline) {
    const tensors = [['result', 'f32'], ...kernel.reads] as const;
    const bindings = tensors.map(([name, element], i) => {
      const access = i === 0 ? 'read_write' : 'read';
      return `@group(0) @binding(${i}) var<storage, ${access}> ${name} : array<${element}>;`;
    });
    const subgroup = kernel.enables.includes('enable subgroups;');
    const code = `${kernel.enables}
      struct Uniforms { ${[...uniformsOf(tensors.map(([name]) => name)), ...kernel.uniforms.map((name) => `${name} : i32`)].join(', ')} };
      ${bindings.join('\n')}
      @group(0) @binding(${tensors.length}) var<uniform> uniforms : Uniforms;
      ${kernel.code}
      @compute @workgroup_size(${kernel.workgroupSize})
      fn main(@builtin(workgroup_id) group : vec3u, @builtin(local_invocation_index) thread : u32${subgroup ? ', @builtin(subgroup_id) subgroup : u32' : ''}) {
        run(group, thread, ${subgroup ? 'subgroup' : 'thread / 32u'});
      }`;
    pipeline = compile(device, code, kernel.name);
    known.set(kernel.name, pipeline);
  }
  return pipeline;
}

/** What tfjs puts before a program's own uniforms: NaN, infinity, and length and stride of each flat tensor. */
function uniformsOf(tensors: readonly string[]): string[] {
  const extents = tensors.flatMap((name) => [`${name}Length : i32`, `${name}Stride : i32`]);
  return ['nan : f32', 'infinity : f32', ...extents];
}

function compile(device: Backend['device'], code: string, label: string): object {
  const module = device.createShaderModule({ code, label });
  return device.createComputePipeline({ compute: { module, entryPoint: 'main' }, layout: 'auto', label });
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
