// The launcher's GPU really runs shaders, and every way of not having one is told as a reason.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { describeGpu, openGpu } from '@hip/testing';

const SHADER = `
@group(0) @binding(0) var<storage, read_write> data: array<f32>;
@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x < arrayLength(&data)) { data[id.x] = data[id.x] * 2.0 + f32(id.x); }
}`;

describeGpu('the launcher', (gpu) => {
  let device: GPUDevice;
  beforeAll(async () => {
    device = await gpu.device({ features: ['subgroups', 'timestamp-query'] });
  });
  afterAll(() => device.destroy());

  it('dispatches a compute shader', async () => {
    const n = 1000;
    const input = Float32Array.from({ length: n }, (_, i) => Math.sin(i));
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
    const data = device.createBuffer({ size: input.byteLength, usage });
    const read = device.createBuffer({
      size: input.byteLength,
      usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
    });
    device.queue.writeBuffer(data, 0, input);
    const pipeline = device.createComputePipeline({
      layout: 'auto',
      compute: { module: device.createShaderModule({ code: SHADER }) },
    });
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    const layout = pipeline.getBindGroupLayout(0);
    pass.setBindGroup(0, device.createBindGroup({ layout, entries: [{ binding: 0, resource: { buffer: data } }] }));
    pass.dispatchWorkgroups(Math.ceil(n / 64));
    pass.end();
    encoder.copyBufferToBuffer(data, 0, read, 0, input.byteLength);
    device.queue.submit([encoder.finish()]);
    await read.mapAsync(GPUMapMode.READ);
    expect(new Float32Array(read.getMappedRange().slice(0))).toBeAllclose(input.map((value, i) => value * 2 + i));
    read.unmap();
  });

  it('offers what navigator.gpu needs and the limits of the adapter', async () => {
    expect(navigator.gpu).toBe(gpu.gpu);
    const adapter = await gpu.adapter();
    expect(device.limits.maxBufferSize).toBe(adapter.limits.maxBufferSize);
    expect(device.features.has('subgroups')).toBe(adapter.features.has('subgroups'));
  });

  it('reports a broken shader through an error scope', async () => {
    device.pushErrorScope('validation');
    device.createShaderModule({ code: 'fn main() { undeclared(); }' });
    expect((await device.popErrorScope())?.message).toContain('undeclared');
  });

  it('is opened once', async () => {
    expect(await openGpu()).toBe(gpu);
  });
});

describe('without a GPU', () => {
  it('says why', async () => {
    expect(await openGpu('none')).toEqual({ kind: 'none', reason: 'HIP_GPU=none' });
  });
});
