// Whether the device had memory for what was dispatched: WebGPU says so later, and only to who asks.
import * as tf from '@tensorflow/tfjs';
import { onWebGpu } from './tfjs-backend.ts';

interface Backend {
  readonly device: {
    pushErrorScope(filter: 'out-of-memory'): void;
    popErrorScope(): Promise<{ readonly message: string } | null>;
  };
}

/** Runs synchronous work of tfjs. @returns what it gives, and what the device says where its memory did not suffice (of other backends nothing) */
export function inMemoryScope<T>(run: () => T): { readonly value: T; readonly exhausted: Promise<string | undefined> } {
  if (!onWebGpu()) return { value: run(), exhausted: Promise.resolve(undefined) };
  const { device } = tf.backend() as unknown as Backend;
  device.pushErrorScope('out-of-memory');
  const pop = () =>
    device.popErrorScope().then(
      (error) => error?.message,
      // The device is lost: whoever reads from it hears of that.
      () => undefined,
    );
  let value: T;
  try {
    value = run();
  } catch (error) {
    void pop();
    throw error;
  }
  return { value, exhausted: pop() };
}
