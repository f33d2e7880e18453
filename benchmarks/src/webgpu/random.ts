// Fills GPU tensors with random numbers on the GPU: a gigabyte of queries takes a millisecond instead of a minute.
import { emptyTensor, GpuCall, type ElementType, type GpuContext, type GpuTensor } from '@hip/kernels-webgpu';

const CODE = `struct Fill { words: u32, seed: u32, half: u32, width: u32 }
@group(0) @binding(0) var<uniform> fill: Fill;
@group(0) @binding(1) var<storage, read_write> words: array<u32>;
fn hash(x: u32) -> u32 {
  let state = x * 747796405u + 2891336453u;
  let word = ((state >> ((state >> 28u) + 4u)) ^ state) * 277803737u;
  return (word >> 22u) ^ word;
}
// Roughly normal: four uniform numbers, variance 1.
fn normal(x: u32) -> f32 {
  let a = hash(x);
  let b = hash(a ^ 0x9e3779b9u);
  return (f32(a & 0xffffu) + f32(a >> 16u) + f32(b & 0xffffu) + f32(b >> 16u) - 131070.0) / 37837.0;
}
@compute @workgroup_size(256) fn main(@builtin(global_invocation_id) id: vec3u) {
  let i = id.x + id.y * fill.width * 256u;
  if (i >= fill.words) { return; }
  let s = fill.seed * 0x85ebca6bu;
  words[i] = select(bitcast<u32>(normal(i ^ s)), pack2x16float(vec2f(normal((2u * i) ^ s), normal((2u * i + 1u) ^ s))), fill.half == 1u);
}`;

/** A tensor of standard normal numbers. */
export function randomTensor(context: GpuContext, type: ElementType, length: number, seed: number): GpuTensor {
  const tensor = emptyTensor({ context, type, length, label: 'random' });
  const words = type === 'f16' ? Math.ceil(length / 2) : length;
  const groups = Math.ceil(words / 256);
  const width = Math.min(groups, 65_535);
  const call = new GpuCall(context);
  call.pass({
    label: 'fill',
    pipeline: { label: 'fill', code: CODE },
    bindings: [
      { uniform: Uint32Array.of(words, seed, type === 'f16' ? 1 : 0, width).buffer },
      { buffer: tensor.buffer },
    ],
    workgroups: [width, Math.ceil(groups / width)],
  });
  call.submit();
  return tensor;
}
