// Bindings that are used again: the same ones, and only for what they bind.
import * as tf from '@tensorflow/tfjs';
import * as fc from 'fast-check';
import { beforeAll, expect, it } from 'vitest';
import { describeGpu } from '@hip/testing';
import { startWebGpu } from '../helpers/webgpu.ts';

/** result[0] = first word bound, result[1] = words bound. */
const CODE = `@group(0) @binding(0) var<storage, read> x: array<u32>;
@group(0) @binding(1) var<storage, read_write> result: array<u32>;
@compute @workgroup_size(1) fn main() { result[0] = x[0]; result[1] = arrayLength(&x); }`;
/** Alignment of storage bindings, in words. */
const STEP = 64;
const WORDS = 16 * STEP;

describeGpu('reused bindings', () => {
  let device: GPUDevice;
  let pipeline: GPUComputePipeline;
  let source: GPUBuffer;
  let target: GPUBuffer;
  let copy: GPUBuffer;

  beforeAll(async () => {
    await startWebGpu();
    ({ device } = tf.backend() as unknown as { device: GPUDevice });
    const module = device.createShaderModule({ code: CODE });
    pipeline = device.createComputePipeline({ layout: 'auto', compute: { module, entryPoint: 'main' } });
    source = device.createBuffer({ size: 4 * WORDS, usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST });
    device.queue.writeBuffer(
      source,
      0,
      Uint32Array.from({ length: WORDS }, (_, i) => i),
    );
    target = device.createBuffer({ size: 8, usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC });
    copy = device.createBuffer({ size: 8, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
  });

  const group = (part: { offset?: number; size?: number }): GPUBindGroup =>
    device.createBindGroup({
      layout: pipeline.getBindGroupLayout(0),
      entries: [
        { binding: 0, resource: { buffer: source, ...part } },
        { binding: 1, resource: { buffer: target } },
      ],
    });

  async function run(bound: GPUBindGroup): Promise<number[]> {
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, bound);
    pass.dispatchWorkgroups(1);
    pass.end();
    encoder.copyBufferToBuffer(target, 0, copy, 0, 8);
    device.queue.submit([encoder.finish()]);
    await copy.mapAsync(GPUMapMode.READ);
    const words = [...new Uint32Array(copy.getMappedRange())];
    copy.unmap();
    return words;
  }

  it('are used again for the same part of a buffer', () => {
    expect(group({ offset: 256, size: 64 })).toBe(group({ offset: 256, size: 64 }));
    expect(group({})).toBe(group({ offset: 0 }));
  });

  it('are kept while they are used, however many others come by', () => {
    const kept = group({ offset: 256, size: 64 });
    const passing = group({ offset: 512, size: 64 });
    const others = (count: number, first: number) => {
      for (let i = 0; i < count; i++) {
        const size = 4 * (1 + ((first + i) % WORDS));
        const binding = 2 + Math.floor((first + i) / WORDS);
        // Only looked up: a group of a binding that the layout lacks is never made valid, and never dispatched.
        device.pushErrorScope('validation');
        device.createBindGroup({
          layout: pipeline.getBindGroupLayout(0),
          entries: [{ binding, resource: { buffer: source, size } }],
        });
        void device.popErrorScope();
      }
    };
    others(12_000, 0);
    expect(group({ offset: 256, size: 64 })).toBe(kept);
    others(12_000, 12_000);
    expect(group({ offset: 256, size: 64 })).toBe(kept);
    others(12_000, 24_000);
    expect(group({ offset: 256, size: 64 })).toBe(kept);
    expect(group({ offset: 512, size: 64 })).not.toBe(passing);
  });

  it('bind the part that is asked for, whatever was bound before', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 0, max: WORDS / STEP - 1 }),
        fc.option(fc.integer({ min: 1, max: STEP }), { nil: undefined }),
        async (step, words) => {
          const bound = group({ offset: 4 * STEP * step, ...(words !== undefined && { size: 4 * words }) });
          expect(await run(bound)).toEqual([STEP * step, words ?? WORDS - STEP * step]);
        },
      ),
      { numRuns: 40 },
    );
  });
});
