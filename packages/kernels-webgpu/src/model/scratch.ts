// Tensors that live as long as a call.
import type { ElementType } from '../device/features.ts';
import type { GpuCall } from '../dispatch/call.ts';
import { tensorBytes, type GpuTensor } from '../dispatch/tensor.ts';

export function scratchTensor(call: GpuCall, type: ElementType, length: number, label: string): GpuTensor {
  return { buffer: call.scratch(tensorBytes(type, length), label), type, length };
}
