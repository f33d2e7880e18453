// Captured runs of onnxruntime-web's WebGPU: a piece over the same buffers is encoded once and replayed, a fifth of a run's time.
import { onnxGraph, onnxModel, onnxNode, onnxValue } from '../model/build.ts';
import { onnxModelBytes } from '../model/render.ts';
import { createOrtSession, tensorClass, type Ort, type OrtSessionOptions, type OrtTensor } from './ort.ts';

/** Options of a run that is captured the first time and replayed afterwards. */
export const REPLAY: OrtSessionOptions = { extra: { gpu_graph_id: '1' } };
/** Options of a run of a session that captures, which is neither. */
export const AS_IT_COMES: OrtSessionOptions = { extra: { gpu_graph_id: '-1' } };

const USAGE = 0x80 | 0x08 | 0x04; // STORAGE | COPY_DST | COPY_SRC
const WIDTH = 8;

/**
 * Session options by which the provider captures. onnxruntime-web's own `enableGraphCapture` also binds a session to the first buffers that
 * it is given, so that it could not read prompts as well: the provider asks for it before `externalData` is asked for, the binding after.
 */
export function withCapture(options: OrtSessionOptions): OrtSessionOptions {
  let isProviderMade = false;
  return Object.defineProperties(
    { ...options },
    {
      enableGraphCapture: { enumerable: true, get: () => (isProviderMade ? undefined : true) },
      externalData: {
        enumerable: true,
        get: () => {
          isProviderMade = true;
          return undefined;
        },
      },
    },
  );
}

const known = new WeakMap<object, Promise<boolean>>();

/** Whether a runtime's sessions take both captured and other runs: tried out once for each device. */
export function captures(ort: Ort, device: GPUDevice): Promise<boolean> {
  let answer = known.get(device);
  if (!answer) known.set(device, (answer = tryOut(ort, device).catch(() => false)));
  return answer;
}

async function tryOut(ort: Ort, device: GPUDevice): Promise<boolean> {
  const graph = onnxGraph('twice', {
    node: [onnxNode('Add', ['x', 'x'], ['y'])],
    initializer: [],
    input: [onnxValue('x', 'float', ['rows', WIDTH])],
    output: [onnxValue('y', 'float', ['rows', WIDTH])],
  });
  const bytes = await onnxModelBytes({
    proto: onnxModel(graph, { '': 17 }, { irVersion: 8 }),
    weight: () => {
      throw new TypeError('the model has no weights');
    },
  });
  const session = await createOrtSession(
    ort,
    bytes,
    'a captured sum',
    withCapture({
      logSeverityLevel: 4,
      executionProviders: [{ name: 'webgpu', device }],
      preferredOutputLocation: { y: 'gpu-buffer' },
    }),
  );
  const buffers: GPUBuffer[] = [];
  const make = (rows: number): GPUBuffer => {
    const buffer = device.createBuffer({ size: 4 * rows * WIDTH, usage: USAGE, label: 'a captured sum' });
    buffers.push(buffer);
    return buffer;
  };
  const tensor = (buffer: GPUBuffer, rows: number): OrtTensor =>
    tensorClass(ort).fromGpuBuffer(buffer, { dataType: 'float32', dims: [rows, WIDTH], dispose: () => {} });
  const write = (buffer: GPUBuffer, value: number): void =>
    device.queue.writeBuffer(buffer, 0, new Float32Array(buffer.size / 4).fill(value));
  /** The last number. The runtime's buffers may be longer than what they hold. */
  const read = async (buffer: GPUBuffer, rows: number): Promise<number> => {
    const staging = device.createBuffer({ size: 16, usage: 0x01 | 0x08, label: 'a captured sum' });
    const encoder = device.createCommandEncoder();
    encoder.copyBufferToBuffer(buffer, 4 * rows * WIDTH - 16, staging, 0, 16);
    device.queue.submit([encoder.finish()]);
    await staging.mapAsync(0x01);
    const [value = Number.NaN] = new Float32Array(staging.getMappedRange().slice(0));
    staging.destroy();
    return value;
  };
  try {
    const [own, into] = [make(1), make(1)];
    // Prompts of several lengths, before and after a captured run and between replays.
    for (const [rows, value] of [
      [2, 1],
      [3, 2],
      [2, 3],
    ] as const) {
      const prompt = make(rows);
      write(prompt, value);
      const made = (await session.run({ x: tensor(prompt, rows) }, ['y'], AS_IT_COMES))['y']!;
      if (made.dims[0] !== rows || (await read(made.gpuBuffer as GPUBuffer, rows)) !== 2 * value) return false;
      made.dispose();
      for (const next of [value + 0.5, value + 0.75]) {
        write(own, next);
        await session.run({ x: tensor(own, 1) }, { y: tensor(into, 1) }, REPLAY);
        if ((await read(into, 1)) !== 2 * next) return false;
      }
    }
    return true;
  } finally {
    await session.release();
    for (const buffer of buffers) buffer.destroy();
  }
}
