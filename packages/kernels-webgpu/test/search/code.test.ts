// The generated WGSL of search, decode and cache kernels, as files to read and to notice changes by.
import { expect, it } from 'vitest';
import { PAPER_CONFIG, DEFAULT_CONFIG, type HipConfig } from '@hip/mask-search';
import { BOUNDS } from '../support/bounds.ts';
import { appendCode } from '../../src/cache/append-code.ts';
import { decodeCode } from '../../src/decode/code.ts';
import { mergeCode } from '../../src/decode/merge-code.ts';
import { pseudoPartCode } from '../../src/decode/pseudo-code.ts';
import { baseMeansCode } from '../../src/remainder/means-code.ts';
import { pseudoCode } from '../../src/remainder/pseudo-code.ts';
import { DEFAULT_LIMITS } from '../../src/device/limits.ts';
import { envelopeCode } from '../../src/search/code/envelope.ts';
import { planSearch, type SearchRequest } from '../../src/search/plan.ts';

const request: SearchRequest = {
  shape: { batch: 1, queries: 8192, keys: 8192, heads: 8, kvHeads: 2, headDim: 64 },
  config: BOUNDS,
  type: 'f16',
  profile: { tier: 'basic', subgroupMaxSize: 1 },
  limits: { ...DEFAULT_LIMITS, maxComputeWorkgroupStorageSize: 49_152 },
};

function modules(other: Partial<SearchRequest>): string {
  const { slabs } = planSearch({ ...request, ...other });
  return slabs[0]!.passes.map(({ label, code }) => `// ${label}\n${code}`).join('\n');
}

const staged = (score: 'binary' | 'exact'): HipConfig => ({
  ...BOUNDS,
  stages: [{ chunk: 16, keep: 512, strideQ: 8, rows: 'max', score }],
});

const cases: Record<string, string> = {
  'stages-vector': modules({}),
  'stages-vector-f32-shared-paged': modules({
    type: 'f32',
    pageShift: 8,
    config: { ...BOUNDS, shareHeads: true },
  }),
  'stages-binary': modules({ config: staged('binary') }),
  'stages-matrix': modules({ profile: { tier: 'subgroup-matrix', subgroupMaxSize: 32 } }),
  'stages-vote-vector': modules({ config: DEFAULT_CONFIG }),
  'stages-vote-matrix': modules({ config: DEFAULT_CONFIG, profile: { tier: 'subgroup-matrix', subgroupMaxSize: 32 } }),
  moments: envelopeCode({ headDim: 64, type: 'f16', score: 'deviation', store: 'f32', sink: 16, chunk: 64 }),
  'remainder-means': baseMeansCode({ headDim: 64, type: 'f16', sink: 16, block: 64 }),
  'remainder-pseudo-keys': pseudoCode({ sink: 16, block: 64, most: 32 }),
  'decode-pseudo-keys': pseudoPartCode({
    headDim: 64,
    type: 'f16',
    group: 4,
    softcap: false,
    meanRows: 100,
    most: 40,
  }),
  tree: modules({ config: PAPER_CONFIG }),
  'tree-spilled-random': modules({
    config: { ...PAPER_CONFIG, k: 4096, representative: 'random' },
    limits: DEFAULT_LIMITS,
  }),
  envelope: envelopeCode({ headDim: 64, type: 'f16', sink: 16, chunk: 64 }),
  append: appendCode(8),
  'decode-sparse': decodeCode({
    headDim: 64,
    type: 'f16',
    group: 4,
    heads: 1,
    causal: true,
    softcap: false,
    sparse: { blockK: 16, sink: 16 },
  }),
  'decode-sparse-append': decodeCode({
    headDim: 64,
    type: 'f16',
    group: 4,
    heads: 1,
    causal: true,
    softcap: false,
    sparse: { blockK: 16, sink: 16 },
    append: true,
  }),
  'decode-dense-f32': decodeCode({
    headDim: 64,
    type: 'f32',
    group: 2,
    heads: 2,
    causal: true,
    softcap: true,
    pageShift: 8,
  }),
  merge: mergeCode({ headDim: 64, type: 'f16' }),
};

for (const [name, code] of Object.entries(cases)) {
  it(`generates ${name} as before`, async () => {
    await expect(code).toMatchFileSnapshot(`snapshots/${name}.wgsl`);
  });
}
