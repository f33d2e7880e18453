// describeGpu: a vitest suite that runs on the GPU there is (real, else software) and is skipped, saying why, where there is none.
import { describe } from 'vitest';
import { openGpu, type OpenedGpu } from './open-gpu.ts';

const WITHOUT: OpenedGpu = new Proxy({} as OpenedGpu, {
  get(_, property) {
    throw new Error(
      `there is no GPU: read gpu.${String(property)} inside a test or hook, not while tests are collected`,
    );
  },
});

/**
 * A suite whose tests need WebGPU. The suite's name says "WebGPU" and which one, or why the tests were skipped.
 *
 * @param body - declares the tests; use `gpu` inside tests and hooks only
 * @example
 * ```ts
 * describeGpu('sum', (gpu) => {
 *   it('adds', async () => {
 *     const device = await gpu.device();
 *     device.destroy();
 *   });
 * });
 * ```
 */
export function describeGpu(name: string, body: (gpu: OpenedGpu) => void): void {
  describe(name, async () => {
    const gpu = await openGpu();
    if (gpu.kind === 'none') describe.skip(`WebGPU skipped: ${gpu.reason}`, () => body(WITHOUT));
    else describe(`WebGPU (${gpu.kind})`, () => body(gpu));
  });
}
