// What the figures of a run depend on.
import { availableParallelism, cpus, totalmem } from 'node:os';
import * as tf from '@tensorflow/tfjs';
import { resolveConfig } from '@hip/attention';
import type { Backend } from './backend.ts';
import type { DemoOptions } from './options.ts';
import { LATENCY_TOKENS } from './search.ts';
import { CHUNK } from './prefill.ts';
import type { Facts } from './state.ts';

/** Of this process: by the clock, and on all cores together. A resumed run counts from its resume. */
function timeTaken(): { readonly elapsedSeconds: number; readonly processorSeconds: number } {
  const { user, system } = process.cpuUsage();
  return { elapsedSeconds: Math.round(process.uptime()), processorSeconds: Math.round((user + system) / 1e6) };
}

export function describeEnvironment(backend: Backend, options: DemoOptions, facts: Facts): Record<string, unknown> {
  const { k, denseLayers } = options.longContext;
  const { cpu } = backend.attention;
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    platform: `${process.platform}-${process.arch}`,
    node: process.version,
    tfjs: tf.version_core,
    backend: backend.name,
    ...(backend.adapter !== undefined && { adapter: backend.adapter }),
    ...(cpu && { kernelThreads: cpu.threads, simd: cpu.simd }),
    date: new Date().toISOString(),
    ...timeTaken(),
    text: facts.sources.text,
    document: facts.sources.document,
    latencyTokens: LATENCY_TOKENS,
    prefillChunkTokens: CHUNK,
    hip: resolveConfig({ k, denseLayers }),
    options,
  };
}
