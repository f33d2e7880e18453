// Our kernels on WebAssembly.
import type { CpuRuntime } from '@hip/kernels-cpu';
import type { Inputs } from './inputs.ts';
import { CYCLE, type Opened } from './opened.ts';

export function openWasm(cpu: CpuRuntime, inputs: Inputs): Opened[] {
  return inputs.part === 'prefill' ? prefill(cpu, inputs) : decode(cpu, inputs);
}

function prefill(cpu: CpuRuntime, { tokens, heads, kvHeads, headDim, q, k, v }: Inputs): Opened[] {
  const shape = { batch: 1, queries: tokens, keys: tokens, heads, kvHeads, headDim };
  const out = new Float32Array(q.length);
  const nothing = (): void => undefined;
  return [
    {
      name: 'hip',
      perRun: 1,
      run: async () => void cpu.hipAttention(q, k, v, shape, {}, { out }),
      close: nothing,
    },
    {
      name: 'dense',
      perRun: 1,
      run: async () => void cpu.denseAttention(q, k, v, shape, { out }),
      output: async () => cpu.denseAttention(q, k, v, shape).slice(),
      close: nothing,
    },
  ];
}

/** A token is appended and attended from, a whole cycle of searches in a run. */
function decode(cpu: CpuRuntime, { heads, kvHeads, headDim, q, k, v }: Inputs): Opened[] {
  const size = kvHeads * headDim;
  const [k1, v1] = [k.subarray(-size), v.subarray(-size)];
  const open = () => {
    const cache = cpu.createCache({ heads, kvHeads, headDim });
    cache.append(k, v);
    return cache;
  };
  const [searched, dense] = [open(), open()];
  return [
    {
      name: 'hip',
      perRun: CYCLE,
      run: async () => {
        for (let i = 0; i < CYCLE; i++) {
          searched.append(k1, v1);
          searched.decode(q);
        }
      },
      close: () => searched.dispose(),
    },
    {
      name: 'dense',
      perRun: CYCLE,
      run: async () => {
        for (let i = 0; i < CYCLE; i++) {
          dense.append(k1, v1);
          dense.attendDense(q);
        }
      },
      output: async () => dense.attendDense(q).slice(),
      close: () => dense.dispose(),
    },
  ];
}
