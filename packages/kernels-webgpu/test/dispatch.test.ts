// Calls, errors and timers on a device: what is cached, what is reported, and how.
import { afterEach, beforeEach, expect, it } from 'vitest';
import { describeGpu } from '@hip/testing';
import { encodeAttention } from '../src/attention/dispatch.ts';
import { requestHipDevice } from '../src/device/request.ts';
import { GpuCall, submitTogether } from '../src/dispatch/call.ts';
import { contextOf, type GpuContext } from '../src/dispatch/context.ts';
import { compilePipelines, pipelineFor } from '../src/dispatch/pipelines.ts';
import { createBuffer } from '../src/dispatch/pool.ts';
import { emptyTensor, readTensor, uploadTensor } from '../src/dispatch/tensor.ts';
import { Timer } from '../src/dispatch/timer.ts';

const DOUBLE = `@group(0) @binding(0) var<uniform> factor: vec4<f32>;
@group(0) @binding(1) var<storage, read_write> values: array<f32>;
@compute @workgroup_size(4) fn main(@builtin(global_invocation_id) id: vec3<u32>) { values[id.x] *= factor.x; }`;

describeGpu('dispatch', (gpu) => {
  let context: GpuContext;
  beforeEach(async () => {
    context = contextOf(await requestHipDevice(await gpu.adapter()));
  });
  afterEach(() => context.device.destroy());

  const double = (values: ReturnType<typeof uploadTensor>, factor: number) => ({
    label: 'double',
    pipeline: { label: 'double', code: DOUBLE },
    bindings: [{ uniform: Float32Array.of(factor, 0, 0, 0).buffer }, { buffer: values.buffer }],
    workgroups: [1] as const,
  });

  it('runs passes in order in one submit, with a uniform each, and compiles once', async () => {
    const values = uploadTensor(context, Float32Array.of(1, 2, 3, 4), 'f32');
    const call = new GpuCall(context);
    call.pass(double(values, 2));
    call.pass(double(values, 5));
    call.submit();
    expect([...(await readTensor(context, values))]).toEqual([10, 20, 30, 40]);
    expect(context.pipelines.size).toBe(1);
    expect(contextOf(context.device)).toBe(context);
  });

  it('submits a prepared call again, until it is released; scratch is used again', async () => {
    const values = uploadTensor(context, Float32Array.of(1, 1, 1, 1), 'f32');
    const call = new GpuCall(context);
    call.scratch(1000, 'scratch');
    call.pass(double(values, 3));
    const prepared = call.prepare();
    prepared.submit();
    prepared.submit();
    expect((await readTensor(context, values))[0]).toBe(9);
    prepared.release();
    expect(() => prepared.submit()).toThrow(/released/);
    const bytes = context.pool.bytes;
    new GpuCall(context).scratch(1000, 'scratch');
    expect(context.pool.bytes).toBe(bytes);
  });

  it('submits prepared calls together, in order, as often as asked', async () => {
    const values = uploadTensor(context, Float32Array.of(1, 2, 3, 4), 'f32');
    const total = uploadTensor(context, new Float32Array(4), 'f32');
    const prepare = (add: (call: GpuCall) => void) => {
      const call = new GpuCall(context);
      add(call);
      return call.prepare();
    };
    const doubled = prepare((call) => call.pass(double(values, 2)));
    const kept = prepare((call) => call.copy(values.buffer, 0, total.buffer, 0, 16));
    submitTogether([doubled, kept, doubled]);
    submitTogether([doubled, doubled]);
    expect([...(await readTensor(context, total))]).toEqual([2, 4, 6, 8]);
    expect((await readTensor(context, values))[0]).toBe(16);
    using around = new GpuCall(context);
    around.include(doubled);
    around.pass(double(values, 3));
    around.include(kept);
    around.submit();
    expect([...(await readTensor(context, total))]).toEqual([96, 192, 288, 384]);
    kept.release();
    expect(() => submitTogether([doubled, kept])).toThrow(/released/);
    expect(() => prepare((call) => call.include(kept))).toThrow(/released/);
    expect((await readTensor(context, values))[0]).toBe(96);
  });

  it('times passes by label', async () => {
    const values = uploadTensor(context, Float32Array.of(1, 2, 3, 4), 'f32');
    const timer = new Timer(context, 4);
    const call = new GpuCall(context);
    call.pass(double(values, 2));
    call.submit(timer);
    const times = await timer.read();
    expect(times.map(({ label }) => label)).toEqual(['double']);
    expect(times[0]!.milliseconds).toBeGreaterThanOrEqual(0);
    expect(await timer.read()).toEqual([]);
    timer.destroy();
  });

  it('stores f16 rounded to nearest even', async () => {
    const values = Float32Array.of(1, 1 + 2 ** -11, 1 + 3 * 2 ** -11, 65504, 1e-8);
    const read = await readTensor(context, uploadTensor(context, values, 'f16'));
    expect([...read]).toEqual([1, 1, 1 + 2 ** -9, 65504, 0]);
  });

  it('reports WGSL that does not compile with the name of the pipeline', async () => {
    pipelineFor(context, { label: 'broken kernel', code: 'fn main() { wrong }' });
    await expect(context.settled()).rejects.toMatchObject({
      name: 'HipError',
      code: 'internal',
      message: expect.stringContaining('broken kernel'),
    });
    await expect(compilePipelines(context, [{ label: 'broken too', code: 'oops' }])).rejects.toMatchObject({
      code: 'internal',
    });
    await context.settled();
  });

  it('refuses a buffer above the limit before it asks the device', () => {
    expect(() => createBuffer(context, context.limits.maxBufferSize + 4, 0x80, 'keys')).toThrow(
      expect.objectContaining({ code: 'unsupported', details: expect.objectContaining({ limit: 'maxBufferSize' }) }),
    );
  });

  it('names the tensor whose length does not fit its shape', () => {
    const tensor = (length: number) => emptyTensor({ context, type: 'f32', length });
    const shape = { batch: 1, queries: 2, keys: 3, heads: 1, kvHeads: 1, headDim: 32 };
    const call = new GpuCall(context);
    expect(() =>
      encodeAttention(call, { q: tensor(64), k: tensor(96), v: tensor(95), out: tensor(64) }, shape, undefined),
    ).toThrow(/v holds 95 numbers: its shape needs 96/);
  });

  it('reports a lost device as a typed error', async () => {
    context.device.destroy();
    await context.device.lost;
    await Promise.resolve();
    expect(() => new GpuCall(context)).toThrow(expect.objectContaining({ code: 'device-lost' }));
    await expect(context.settled()).rejects.toMatchObject({ code: 'device-lost' });
  });
});
