// Checks of what the model's operations are given.
import { HipError } from '../errors/gpu-errors.ts';
import type { BufferRange } from '../dispatch/call.ts';
import type { GpuContext } from '../dispatch/context.ts';
import { tensorBytes, type GpuTensor } from '../dispatch/tensor.ts';

/** @throws HipError `invalid-shape` unless all are integers from 1 on */
export function checkCounts(counts: Readonly<Record<string, number>>): void {
  for (const name in counts) {
    const value = counts[name]!;
    if (!Number.isSafeInteger(value) || value < 1)
      throw new HipError('invalid-shape', `${name} is ${value}: give an integer >= 1`, { name, value });
  }
}

/** @throws HipError `invalid-config` unless it is a finite number, and more than `least` where that is given */
export function checkNumber(name: string, value: number, least = -Infinity): void {
  if (Number.isFinite(value) && value > least) return;
  const range = least === -Infinity ? 'a finite number' : `a finite number > ${least}`;
  throw new HipError('invalid-config', `${name} is ${value}: give ${range}`, { name, value });
}

/** The binding of `length` numbers of a tensor. @throws HipError `invalid-shape` */
export function rangeOf(name: string, tensor: GpuTensor, length: number): BufferRange {
  if (tensor.length < length) {
    const message = `${name} holds ${tensor.length} numbers: this needs ${length}`;
    throw new HipError('invalid-shape', message, { name, length: tensor.length, expected: length });
  }
  return { buffer: tensor.buffer, offset: tensor.offset, size: tensorBytes(tensor.type, length) };
}

/** As {@link rangeOf}, of float32. @throws HipError `unsupported` for f16 */
export function floatsOf(name: string, tensor: GpuTensor, length: number): BufferRange {
  if (tensor.type !== 'f32') {
    const message = `${name} is ${tensor.type}: norms, biases, tables and logits are f32`;
    throw new HipError('unsupported', message, { name, type: tensor.type });
  }
  return rangeOf(name, tensor, length);
}

/** As {@link rangeOf}, of what a kernel writes number by number. @throws HipError `unsupported` for f16 without `shader-f16` */
export function writableOf(
  { profile }: Pick<GpuContext, 'profile'>,
  name: string,
  tensor: GpuTensor,
  length: number,
): BufferRange {
  if (tensor.type === 'f16' && !profile.shaderF16) {
    const message = `${name} is f16, which this device cannot write: use f32, or a device with shader-f16`;
    throw new HipError('unsupported', message, { name, type: tensor.type });
  }
  return rangeOf(name, tensor, length);
}
