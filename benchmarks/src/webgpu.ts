// Attention on WebGPU: correctness, dense flash and block-sparse attention, prefill, decode, one million tokens, tfjs beside it.
import { contextOf, requestHipDevice } from '@hip/kernels-webgpu';
import { openGpu } from '@hip/testing/gpu';
import type { Benchmark } from './benchmark.ts';
import { runSections, SECTIONS } from './webgpu/sections.ts';

/** Seconds after which a section begins nothing new. */
const SECONDS = 120;

/** On a software GPU, or with `--quick`, tiny sizes show that everything runs; the figures then mean nothing. */
export const benchmark: Benchmark = {
  name: 'webgpu',
  description: 'dense and HiP attention on WebGPU: prefill, decode, memory',
  async run({ quick, log, signal }) {
    const gpu = await openGpu();
    if (gpu.kind === 'none') throw new Error(`no GPU: ${gpu.reason}`);
    const device = await requestHipDevice(await gpu.adapter());
    const context = contextOf(device);
    const tiny = quick || gpu.kind === 'software';
    const rows: Record<string, unknown>[] = [];
    for (const name of Object.keys(SECTIONS)) {
      signal.throwIfAborted();
      await runSections(context, [name], {
        seconds: SECONDS,
        tiny,
        log,
        onRows: (section, found) => rows.push(...found.map((row) => ({ section, ...row }))),
      });
    }
    device.destroy();
    return { rows, environment: { gpu: gpu.description, kind: gpu.kind, tiny, profile: context.profile } };
  },
};
