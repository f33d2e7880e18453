// Captured runs of onnxruntime-web: replays that miss a copy are told from those that give what other runs give.
import { describeGpu } from '@hip/testing';
import { contextOf, readTensor, requestHipDevice, type GpuContext } from '@hip/kernels-webgpu';
import { beforeAll, expect, it } from 'vitest';
import { onnxGraph, onnxModel, onnxModelBytes, onnxNode, onnxTensor, onnxValue } from '../../src/model.ts';
import type { NodeProto } from '../../src/model/types.ts';
import { createOrtSession, tensorClass, type Ort, type OrtTensor } from '../../src/runtime/ort.ts';
import { AS_IT_COMES, captures, REPLAY, withCapture } from '../../src/runtime/webgpu-capture.ts';
import { replaysTell } from '../../src/runtime/webgpu-trial.ts';
import { addForEach, ortWeb } from '../helpers/ort-web.ts';

const SIZE = 16;
const RUNS = { replay: REPLAY, asItComes: AS_IT_COMES };

describeGpu('captured pieces', (gpu) => {
  let ort: Ort;
  let context: GpuContext;
  beforeAll(async () => {
    await addForEach(gpu.gpu);
    ort = await ortWeb();
    context = contextOf(await requestHipDevice(await gpu.gpu.requestAdapter()));
  });

  const tensor = (dims: readonly number[]): OrtTensor => {
    const size = 4 * dims.reduce((product, dim) => product * dim, 1);
    const buffer = context.device.createBuffer({ size, usage: 0x80 | 0x08 | 0x04 });
    return tensorClass(ort).fromGpuBuffer(buffer, { dataType: 'float32', dims, dispose: () => {} });
  };
  const write = ({ gpuBuffer }: OrtTensor, at: (i: number) => number) =>
    context.device.queue.writeBuffer(
      gpuBuffer as GPUBuffer,
      0,
      Float32Array.from({ length: SIZE }, (_, i) => at(i)),
    );
  const read = ({ gpuBuffer }: OrtTensor) =>
    readTensor(context, { buffer: gpuBuffer as GPUBuffer, type: 'f32', length: SIZE });

  /** A piece x [1, rows, 16] → y, and the memory of its replays. */
  const pieceOf = async (node: NodeProto[], dims: readonly number[]) => {
    const graph = onnxGraph('piece', {
      node,
      initializer: [onnxTensor('shape', 'int64', [4], BigInt64Array.of(0n, 0n, 4n, 4n))],
      input: [onnxValue('x', 'float', [1, 'rows', SIZE])],
      output: [onnxValue('y', 'float', [1, 'rows', ...dims.slice(2)])],
    });
    const bytes = await onnxModelBytes({
      proto: onnxModel(graph, { '': 17 }, { irVersion: 8 }),
      weight: () => {
        throw new TypeError('the model has no long weights');
      },
    });
    const session = await createOrtSession(
      ort,
      bytes,
      'a piece',
      withCapture({
        logSeverityLevel: 4,
        executionProviders: [{ name: 'webgpu', device: context.device }],
        preferredOutputLocation: { y: 'gpu-buffer' },
      }),
    );
    return { session, inputs: { x: tensor([1, 1, SIZE]) }, outputs: { y: tensor(dims) } };
  };

  it('are replayed here', async () => {
    expect(await captures(ort, context.device)).toBe(true);
  });

  it('are right where a kernel writes the output, for inputs that change', async () => {
    const piece = await pieceOf([onnxNode('Add', ['x', 'x'], ['y'])], [1, 1, SIZE]);
    write(piece.inputs.x, (i) => i);
    expect(await replaysTell(context, piece, RUNS)).toBe(true);
    // What was there before the trial is there again, input and output.
    expect([...(await read(piece.outputs.y))]).toEqual(Array.from({ length: SIZE }, (_, i) => 2 * i));
    for (const scale of [3, -5]) {
      write(piece.inputs.x, (i) => scale * i);
      await piece.session.run(piece.inputs, piece.outputs, REPLAY);
      expect([...(await read(piece.outputs.y))]).toEqual(Array.from({ length: SIZE }, (_, i) => 2 * scale * i));
    }
    await piece.session.release();
  });

  it('are refused where the runtime copies the output', async () => {
    const nodes = [onnxNode('Add', ['x', 'x'], ['sum']), onnxNode('Reshape', ['sum', 'shape'], ['y'])];
    const piece = await pieceOf(nodes, [1, 1, 4, 4]);
    write(piece.inputs.x, (i) => i);
    expect(await replaysTell(context, piece, RUNS)).toBe(false);
    // As it comes it is right, and the inputs are as they were.
    const { y } = await piece.session.run(piece.inputs, ['y'], AS_IT_COMES);
    expect([...(await read(y!))]).toEqual(Array.from({ length: SIZE }, (_, i) => 2 * i));
    await piece.session.release();
  });
});
