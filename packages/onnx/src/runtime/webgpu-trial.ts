// Tries a captured piece before its replays are trusted: what a runtime does besides dispatches (copies between buffers) is not replayed.
import { readTensor, tensorBytes, uploadTensor, type GpuContext, type GpuTensor } from '@hip/kernels-webgpu';
import type { CapturedPiece } from './backend.ts';
import type { OrtSessionOptions, OrtTensor } from './ort.ts';

/** Of the largest number: the same kernels on the same numbers. */
const TOLERANCE = 1e-3;

/**
 * Whether replays give what runs that are not captured give: for the numbers that lie in the inputs, for others, and for the first ones
 * again, each time into memory that held no numbers. The inputs are left as they were, the outputs with what belongs to them.
 */
export async function replaysTell(
  context: GpuContext,
  { session, inputs, outputs }: CapturedPiece,
  { replay, asItComes }: { readonly replay: OrtSessionOptions; readonly asItComes: OrtSessionOptions },
): Promise<boolean> {
  const names = Object.keys(outputs);
  const floats = Object.values(inputs).filter(({ type }) => type === 'float32' || type === 'float16');
  const given = await readAll(context, floats);
  const feed = (numbers: readonly Float32Array[]): void =>
    floats.forEach((tensor, i) => write(context, gpuTensor(tensor), numbers[i]!));
  const others = given.map((numbers) => numbers.map((number, i) => 0.5 * Math.cos(1.7 * i + 0.3) - 0.25 * number));
  try {
    for (const numbers of [given, others, given]) {
      feed(numbers);
      const made = await session.run(inputs, names, asItComes);
      const expected = await readAll(
        context,
        names.map((name) => made[name]!),
      );
      for (const tensor of Object.values(made)) tensor.dispose();
      for (const tensor of Object.values(outputs)) blank(context, tensor.gpuBuffer as GPUBuffer);
      await session.run(inputs, outputs, replay);
      const found = await readAll(context, Object.values(outputs));
      if (!expected.every((own, i) => isClose(found[i]!, own))) return false;
    }
    return true;
  } finally {
    feed(given);
  }
}

/** A tensor at the head of its buffer, which may be longer. */
function gpuTensor({ gpuBuffer, type, dims }: OrtTensor): GpuTensor {
  const length = dims.reduce((product, dim) => product * dim, 1);
  return { buffer: gpuBuffer as GPUBuffer, type: type === 'float16' ? 'f16' : 'f32', length };
}

async function readAll(context: GpuContext, tensors: readonly OrtTensor[]): Promise<Float32Array[]> {
  const all: Float32Array[] = [];
  for (const tensor of tensors) all.push(await readTensor(context, gpuTensor(tensor)));
  return all;
}

function write(context: GpuContext, target: GpuTensor, numbers: Float32Array): void {
  const { device } = context;
  const source = uploadTensor(context, numbers, target.type, 'numbers to try');
  const encoder = device.createCommandEncoder();
  encoder.copyBufferToBuffer(source.buffer, 0, target.buffer, 0, tensorBytes(target.type, target.length));
  device.queue.submit([encoder.finish()]);
  source.buffer.destroy();
}

/** Fills a buffer with what is no number. */
function blank({ device }: GpuContext, buffer: GPUBuffer): void {
  device.queue.writeBuffer(buffer, 0, new Uint8Array(buffer.size).fill(0xff));
}

function isClose(found: Float32Array, expected: Float32Array): boolean {
  const largest = expected.reduce((most, number) => Math.max(most, Math.abs(number)), 0);
  return (
    found.length === expected.length &&
    found.every((number, i) => Math.abs(number - expected[i]!) <= TOLERANCE * largest)
  );
}
