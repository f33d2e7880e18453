// Attention on the CPU: prefill against onnxruntime and tfjs-wasm, break-even, decode at 128K, a million tokens.
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { createCpuRuntime } from '@hip/kernels-cpu';
import type { Benchmark, BenchmarkOptions } from './benchmark.ts';
import { decode } from './cpu-attention/decode.ts';
import { breakEven, prefill } from './cpu-attention/prefill.ts';

/** Threads of every candidate. */
const THREADS = 2;

async function million({ quick, log, signal }: BenchmarkOptions): Promise<Record<string, unknown>> {
  const script = join(import.meta.dirname, 'cpu-attention/million.ts');
  const { stdout } = await promisify(execFile)(process.execPath, [script, ...(quick ? ['65536'] : [])], { signal });
  const row = JSON.parse(stdout) as Record<string, number>;
  log(
    `${row['tokens']} tokens: ${row['seconds']!.toFixed(1)} s, ${(row['processPeakBytes']! / 2 ** 30).toFixed(2)} GiB`,
  );
  return { part: 'million', ...row };
}

export const benchmark: Benchmark = {
  name: 'cpu-attention',
  description: 'dense and HiP attention on the CPU against onnxruntime and tfjs-wasm: prefill, decode, memory',
  async run(options) {
    using cpu = await createCpuRuntime({ threads: THREADS });
    const peak = cpu.measurePeak(1000);
    using plain = await createCpuRuntime({ threads: THREADS, simd: 'plain' });
    const rows: Record<string, unknown>[] = [
      { part: 'peak', simd: cpu.simd, threads: THREADS, gflops: peak },
      { part: 'peak', simd: 'plain', threads: THREADS, gflops: plain.measurePeak(1000) },
    ];
    options.log(`peak ${peak.toFixed(0)} GFLOP/s`);
    rows.push(...(await breakEven(cpu, options)));
    rows.push(...(await decode(cpu, options)));
    rows.push(...(await prefill(cpu, peak, options)));
    rows.push(await million(options));
    return { rows, environment: { threads: THREADS, onnxruntime: '1.30.0' } };
  },
};
