// What an engine takes in WebAssembly memory.
import type { ModelConfig } from '@hip/checkpoints';
import { planMemory, PAGE_TOKENS } from '@hip/kernels-cpu';
import { attends } from '@hip/mask-search';
import { attentionRule, type LayerShape } from '../layers.ts';
import type { ResolvedOptions } from '../options.ts';
import type { EngineOptions, EnginePlan } from '../types.ts';
import { mostHeld } from './layer-cache.ts';
import { scratchLengths } from './scratch.ts';

/** @throws HipError `invalid-config` */
export function planWasm(
  config: ModelConfig,
  shapes: readonly LayerShape[],
  options: ResolvedOptions,
  weights: number,
  { threads = 'auto' }: EngineOptions,
): EnginePlan {
  const { contextTokens, cache: type, rows } = options;
  const activations = Object.values(scratchLengths(config, shapes, rows)).reduce((sum, length) => sum + 4 * length, 0);
  let cache = 0;
  let working = 0;
  for (const shape of shapes) {
    const rule = attentionRule(shape, options.attention);
    const hip = attends(rule, contextTokens, rows) === 'hip' ? rule.config : undefined;
    const { heads, kvHeads, headDim, window } = shape;
    // Behind a window pages are given back when the rows of a call have read them.
    const keys = window > 0 ? Math.min(contextTokens, rows + mostHeld(window)) : contextTokens;
    const plan = planMemory({
      shape: { batch: 1, queries: Math.min(rows, keys), keys, heads, kvHeads, headDim },
      config: hip,
      threads: threads === 'auto' ? cores() : threads,
      type,
    });
    // A table has a place for every page that there was.
    const table = keys < contextTokens ? 8 * Math.ceil(contextTokens / PAGE_TOKENS) : 0;
    cache += plan.pages + plan.envelopes + table;
    working = Math.max(working, plan.staging + plan.mask + plan.scratch);
  }
  const scratch = activations + working;
  return { backend: 'wasm', weights, cache, scratch, total: weights + cache + scratch, contextTokens };
}

function cores(): number {
  return Math.min(16, (globalThis.navigator as Navigator | undefined)?.hardwareConcurrency ?? 1);
}
