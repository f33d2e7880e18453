// Kernels with pipelines of their own, for what tfjs' programs cannot: several results, other element types, workgroups that are tiles.
import * as tf from '@tensorflow/tfjs';
import { groupsFor } from './program.ts';
import { gpuBackend } from './tfjs-backend.ts';
import type { TfjsWebGpu, UniformData } from './tfjs-backend.ts';

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

function pipelineOf({ device }: TfjsWebGpu, kernel: ManyKernel): object {
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
  const backend = gpuBackend();
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
  const backend = gpuBackend();
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

function tilePipelineOf({ device }: TfjsWebGpu, kernel: TileKernel): object {
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

function compile(device: TfjsWebGpu['device'], code: string, label: string): object {
  const module = device.createShaderModule({ code, label });
  return device.createComputePipeline({ compute: { module, entryPoint: 'main' }, layout: 'auto', label });
}
