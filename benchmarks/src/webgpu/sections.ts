// The WebGPU benchmark in sections, each under its own time limit, so that a slow or failing one leaves the others.
import { contextOf, type GpuContext } from '@hip/kernels-webgpu';
import { BOUND_CONFIG, boundStages, PAPER_CONFIG, type HipConfig } from '@hip/mask-search';
import { ablationRows } from './ablation.ts';
import { attentionChecks, matrixCandidates } from './attention-check.ts';
import { denseRows, sparseRows } from './attention.ts';
import { decodeRows } from './decode.ts';
import { isolationChecks } from './isolation-check.ts';
import { voteChecks } from './vote-check.ts';
import { voteVariantRows } from './vote-variants.ts';
import { voteRows } from './vote.ts';
import { searchChecks } from './search-check.ts';
import { chunkedPrefillRows, prefillRows, searchRows, searchVariantRows } from './search.ts';

export type Rows = Record<string, unknown>[];

export interface SectionOptions {
  /** Sizes a software GPU can run. */
  readonly tiny: boolean;
  /** performance.now() at which to begin nothing new. */
  readonly deadline: number;
  readonly log: (line: string) => void;
}

export type Section = (context: GpuContext, options: SectionOptions) => Promise<Rows>;

/** By name, in the order in which they run. */
export const SECTIONS: Readonly<Record<string, Section>> = {
  'check-attention': attentionChecks,
  'check-isolation': isolationChecks,
  'check-search': async (context, { tiny, log }) => {
    if (tiny) return [];
    const rows = await searchChecks(context, { log });
    // A device as tfjs requests one: no features, so the basic tier's own compilation.
    const adapter = await navigator.gpu.requestAdapter({ powerPreference: 'high-performance' });
    const plain = await adapter!.requestDevice();
    const only = /^default/u;
    for (const row of await searchChecks(contextOf(plain), { log, only })) rows.push({ ...row, device: 'no features' });
    plain.destroy();
    return rows;
  },
  'check-vote': (context, { tiny, log }) => (tiny ? Promise.resolve([]) : voteChecks(context, { log })),
  // Search, then search and attention, decode and a million tokens, of the vote and of what was shipped before it, pass by pass.
  vote: (context, { tiny, ...rest }) => (tiny ? Promise.resolve([]) : voteRows(context, rest)),
  'vote-variants': (context, { tiny, ...rest }) => (tiny ? Promise.resolve([]) : voteVariantRows(context, rest)),
  dense: (context, { tiny, ...rest }) =>
    denseRows(
      context,
      tiny ? { tokens: 64, heads: 2, kvHeads: 1, headDim: 32, runs: 1, ...rest } : { tokens: 16_384, ...rest },
    ),
  sparse: async (context, { tiny, ...rest }) => (tiny ? [] : sparseRows(context, { tokens: 32_768, ...rest })),
  prefill: async (context, { tiny, log }) => (tiny ? [] : prefillRows(context, { log })),
  decode: async (context, { tiny, log }) => (tiny ? [] : decodeRows(context, { log })),
  million: async (context, { tiny, log }) => (tiny ? [] : chunkedPrefillRows(context, { log })),
  configurations: async (context, { tiny, log }) => {
    const rows: Rows = [];
    for (const [name, config] of tiny ? [] : Object.entries(configurations())) {
      rows.push(...(await searchRows(context, { config, name, log })));
      for (const row of await chunkedPrefillRows(context, { config, log })) rows.push({ ...row, config: name });
    }
    return rows;
  },
  'dense-variants': async (context, { tiny, ...rest }) =>
    tiny
      ? []
      : denseRows(context, {
          tokens: 8192,
          runs: 2,
          variants: matrixCandidates(context.profile.subgroupMaxSize),
          ...rest,
        }),
  'sparse-variants': async (context, { tiny, ...rest }) =>
    tiny
      ? []
      : sparseRows(context, {
          tokens: 16_384,
          runs: 2,
          variants: matrixCandidates(context.profile.subgroupMaxSize),
          ...rest,
        }),
  ablation: async (context, { tiny, ...rest }) =>
    tiny || !context.profile.shaderF16 ? [] : ablationRows(context, rest),
  tfjs: async (context, { tiny, ...rest }) =>
    (await import('./tfjs.ts')).tfjsRows(context, tiny ? { lengths: [64], runs: 1, ...rest } : rest),
  'search-variants': async (context, { tiny, deadline, log }) =>
    tiny ? [] : searchVariantRows(context, { deadline, log }),
  onnxruntime: async (context, { tiny, deadline, log }) => {
    if (!context.profile.shaderF16)
      return [{ what: 'onnxruntime-web, GroupQueryAttention', failure: 'needs shader-f16' }];
    const { onnxruntimeRows } = await import('./onnxruntime.ts');
    return onnxruntimeRows({ deadline, log, ...(tiny ? { lengths: [64], runs: 1 } : {}) });
  },
  tree: async (context, { tiny, log }) =>
    tiny ? [] : searchRows(context, { config: PAPER_CONFIG, name: 'the paper', log }),
  tiers: async (context, { tiny, ...rest }) => {
    if (tiny) return [];
    const rows: Rows = [];
    for (const tier of ['subgroups', 'basic'] as const)
      rows.push(
        ...(await denseRows(context, { tokens: 8192, runs: 1, tier, ...rest })).map((row) => ({ ...row, tier })),
      );
    return rows;
  },
};

/** Blocks of 64 or 32 rows, bounds of the means of 8 or 4 rows: what quality gains has to be paid for. */
function configurations(): Record<string, HipConfig> {
  const found: Record<string, HipConfig> = {};
  for (const blockQ of [64, 32])
    for (const rows of [8, 4])
      found[`blocks of ${blockQ} rows, means of ${rows}`] = {
        ...BOUND_CONFIG,
        blockQ,
        stages: boundStages(BOUND_CONFIG.k, rows),
      };
  return found;
}

/** What is selected by name; all of them when nothing is. */
export async function runSections(
  context: GpuContext,
  names: readonly string[],
  {
    seconds,
    tiny,
    log,
    onRows,
  }: {
    readonly seconds: number;
    readonly tiny: boolean;
    readonly log: (line: string) => void;
    readonly onRows: (section: string, rows: Rows) => void;
  },
): Promise<void> {
  for (const name of names) {
    const section = SECTIONS[name];
    const start = performance.now();
    if (!section) {
      onRows(name, [{ failure: `no section "${name}": use ${Object.keys(SECTIONS).join(', ')}` }]);
      continue;
    }
    let timeout: NodeJS.Timeout | undefined;
    try {
      const limit = new Promise<never>((_, reject) => {
        timeout = setTimeout(() => reject(new Error(`stopped waiting after ${2 * seconds} s`)), 2000 * seconds);
      });
      const rows = await Promise.race([section(context, { tiny, deadline: start + 1000 * seconds, log }), limit]);
      onRows(name, rows);
    } catch (error) {
      onRows(name, [{ failure: String(error).slice(0, 500) }]);
      log(`${name} failed: ${String(error).slice(0, 500)}`);
    } finally {
      clearTimeout(timeout);
    }
    log(`${name}: ${((performance.now() - start) / 1000).toFixed(1)} s`);
  }
}
