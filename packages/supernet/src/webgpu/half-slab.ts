// Blocks of float16 numbers in buffers on the GPU, in WGSL that every WebGPU has: no shader-f16.
import * as tf from '@tensorflow/tfjs';
import { groupsFor, runInPlace } from './program.ts';
import type { Kernel } from './program.ts';

const GROUP = 256;
/** Numbers of 0…1 times this: float16 is coarse below 6e-5, and a power of two is exact. */
export const HALF_SCALE = 16_384;

/** Of a pair in the list: the block, and its slot in the slab. */
const PAIR = `
      let pair = uniforms.first + index / uniforms.words;
      let word = index % uniforms.words;
      let block = pairs[2 * pair];
      let slot = pairs[2 * pair + 1];`;

const PACK: Kernel = {
  name: 'pack-halves',
  inputs: ['numbers', 'pairs'],
  uniforms: { first: 'i', count: 'i', words: 'i', width: 'i' },
  workgroupSize: GROUP,
  code: `
    fn main(index : i32) {
      if (index >= uniforms.count) { return; }${PAIR}
      let source = block * uniforms.width + 2 * word;
      var two = vec2(numbers[source], 0.0);
      if (2 * word + 1 < uniforms.width) { two.y = numbers[source + 1]; }
      result[slot * uniforms.words + word] = bitcast<i32>(pack2x16float(two * ${HALF_SCALE}.0));
    }`,
};

const UNPACK: Kernel = {
  name: 'unpack-halves',
  inputs: ['slab', 'pairs'],
  uniforms: { first: 'i', count: 'i', words: 'i', width: 'i' },
  workgroupSize: GROUP,
  code: `
    fn main(index : i32) {
      if (index >= uniforms.count) { return; }${PAIR}
      let two = unpack2x16float(bitcast<u32>(slab[slot * uniforms.words + word])) / ${HALF_SCALE}.0;
      let place = block * uniforms.width + 2 * word;
      result[place] = two.x;
      if (2 * word + 1 < uniforms.width) { result[place + 1] = two.y; }
    }`,
};

/** Words of 32 bits that hold a block of `width` numbers. */
export function halfWords(width: number): number {
  return Math.ceil(width / 2);
}

/** A slab of `slots` blocks of `width` numbers. The caller disposes. */
export function halfSlab(slots: number, width: number): tf.Tensor1D {
  return tf.keep(tf.fill<tf.Rank.R1>([slots * halfWords(width)], 0, 'int32'));
}

/** Which pairs (block, slot) of the list a dispatch is about. */
export interface Pairs {
  /** int32 [pairs, 2]. */
  readonly list: tf.Tensor2D;
  readonly first: number;
  readonly count: number;
}

function dispatch({ list, first, count }: Pairs, source: tf.Tensor, width: number) {
  const words = halfWords(width);
  return {
    inputs: [source, list],
    uniforms: [first, count * words, words, width],
    groups: groupsFor(count * words, GROUP),
  };
}

/** Writes blocks of `numbers` (each in 0…1) into slots of the slab, rounded to float16. */
export function packHalves(slab: tf.Tensor1D, numbers: tf.Tensor, width: number, pairs: Pairs): void {
  runInPlace(PACK, slab, dispatch(pairs, numbers, width));
}

/** Writes slots of the slab over blocks of `target`. */
export function unpackHalves(slab: tf.Tensor1D, target: tf.Tensor, width: number, pairs: Pairs): void {
  runInPlace(UNPACK, target, dispatch(pairs, slab, width));
}

/** Bytes that one buffer may hold on the current device. */
export function largestSlab(): number {
  const { limits } = (
    tf.backend() as unknown as { device: { limits: { maxStorageBufferBindingSize: number; maxBufferSize: number } } }
  ).device;
  return Math.min(limits.maxStorageBufferBindingSize, limits.maxBufferSize);
}
