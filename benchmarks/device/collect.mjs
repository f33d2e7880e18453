// Makes benchmarks/results/webgpu.json of a device run's files (webgpu.json, and torch.json where PyTorch ran): node benchmarks/device/collect.mjs FOLDER [EARLIER…]
// Sections that the run lacks are taken from earlier runs on the same kind of device; their rows say so.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const [folder, ...earlier] = process.argv.slice(2);
if (!folder) throw new Error('give the folder that holds webgpu.json');
const readFrom = (from, name) =>
  existsSync(join(from, name)) ? JSON.parse(readFileSync(join(from, name), 'utf8')) : undefined;
const read = (name) => readFrom(folder, name);
const { environment, sections } = read('webgpu.json');
for (const run of earlier.map((from) => readFrom(from, 'webgpu.json'))) {
  if (run.environment.device !== environment.device) throw new Error(`${run.environment.device} is another device`);
  for (const [name, found] of Object.entries(run.sections)) {
    if (!sections[name]?.length) sections[name] = found.map((row) => ({ ...row, session: 'earlier' }));
  }
}
const torch = read('torch.json');

/** 4 significant digits. */
const round = (value) => (typeof value === 'number' && !Number.isInteger(value) ? Number(value.toPrecision(4)) : value);
const tidy = (row) => Object.fromEntries(Object.entries(row).map(([key, value]) => [key, round(value)]));
/** 8192 → 8K, 1048576 → 1M. */
const count = (tokens) => (tokens >= 2 ** 20 ? `${tokens / 2 ** 20}M` : `${tokens / 1024}K`);
const variantName = (variant) => {
  if (!variant) return undefined;
  if (variant.kind === 'tile')
    return `${variant.rows}×32 tiles, ${variant.shuffle > 1 ? `shuffles of ${variant.shuffle}` : 'no shuffles'}`;
  const extras = [
    variant.prefetch && 'prefetched',
    variant.transposeValues && 'values transposed',
    variant.reloadQueries && 'queries read again',
    variant.speculate && 'weights before the vote',
    variant.rowMatrices === 2 && '32 rows a subgroup',
    variant.spareBytes && `${variant.spareBytes} bytes spare`,
  ];
  return `${16 * variant.subgroups * (variant.rowMatrices ?? 1)}×${variant.keys} tiles, ${extras.filter(Boolean).join(', ')}`;
};
const native = (what, name, keys) =>
  torch?.rows.find((row) => row.what === what && row.backend === name && row.keys === keys)?.ms;
const bySum = (passes, prefix) =>
  passes && Object.entries(passes).reduce((sum, [label, ms]) => sum + (label.startsWith(prefix) ? ms : 0), 0);

const HEADS = 32;
const KEY_HEADS = 8;
const DIM = 128;
/** What a T×T score matrix of all heads would take in f16. */
const scoreBytes = (tokens) => 2 * HEADS * tokens * tokens;

const rows = [];
for (const row of sections.prefill ?? []) {
  if (!row.what?.includes('attention')) continue;
  const { tokens, gpuMs, wallMs, passes, poolBytes, config } = row;
  const attention = bySum(passes, 'attention/');
  rows.push({
    part: 'prefill',
    what: `prefill ${count(tokens)}`,
    tokens,
    config,
    flashAttention2Ms: native('prefill', 'FlashAttention-2', tokens),
    cudnnMs: native('prefill', 'cuDNN', tokens),
    gpuMs,
    wallMs,
    searchMs: bySum(passes, 'search/'),
    attentionMs: attention,
    extraBytes: poolBytes,
    scoreMatrixBytes: scoreBytes(tokens),
    inputBytes: 2 * tokens * DIM * (2 * HEADS + 2 * KEY_HEADS),
  });
}
/** The names that configurations have elsewhere. */
const CONFIGURATIONS = {
  'blocks of 64 rows, means of 8': 'WIDE_BOUNDS',
  'blocks of 32 rows, means of 4': 'BOUND_CONFIG',
};
for (const { what, tokens, config, gpuMs, wallMs } of sections.configurations ?? []) {
  if (wallMs === undefined) continue;
  rows.push({ part: 'prefill', what, tokens, config: CONFIGURATIONS[config] ?? config, gpuMs, wallMs });
}
for (const row of sections.million ?? []) {
  if (!row.tokens) continue;
  rows.push({
    part: 'prefill',
    what: row.what,
    tokens: row.tokens,
    config: 'DEFAULT_CONFIG',
    wallMs: row.wallMs,
    extraBytes: row.poolBytes + row.sessionBytes,
    scoreMatrixBytes: scoreBytes(row.tokens),
    cacheBytes: row.cacheBytes,
  });
  rows.push({
    part: 'decode',
    what: 'decode after it',
    tokens: row.tokens,
    config: 'DEFAULT_CONFIG',
    gpuMs: row.decode.gpuMs,
    wallMs: row.decode.wallMs,
  });
}
for (const { what, tokens, gpuMs, wallMs, config } of sections.decode ?? []) {
  rows.push({
    part: 'decode',
    what,
    tokens,
    config,
    flashAttention2Ms: native('decode', 'FlashAttention-2', tokens),
    cudnnMs: native('decode', 'cuDNN', tokens),
    gpuMs,
    wallMs,
  });
}
for (const section of ['dense', 'sparse', 'dense-variants', 'sparse-variants', 'tiers']) {
  for (const { what, tokens, variant, gpuMs: timed, wallMs, tflops, tflopsWall, failure, session } of sections[
    section
  ] ?? []) {
    // GPU time above wall time was disturbed by other work on the device: wall time counts then.
    const disturbed = timed > 1.2 * wallMs;
    const gpuMs = disturbed ? undefined : timed;
    rows.push({
      part: section.endsWith('variants') ? 'variants' : 'attention',
      what,
      tokens,
      variant: variantName(variant),
      gpuMs,
      wallMs,
      tflops: disturbed ? tflopsWall : tflops,
      by: disturbed ? 'wall time' : 'GPU time',
      session,
      failure,
      ...(section === 'dense'
        ? {
            flashAttention2Ms: native('prefill', 'FlashAttention-2', tokens),
            cudnnMs: native('prefill', 'cuDNN', tokens),
          }
        : {}),
    });
  }
}
for (const { without, gpuMs, failure } of sections.ablation ?? [])
  rows.push({ part: 'ablation', without, gpuMs, failure });
for (const { what, tokens, gpuMs, wallMs, passes } of [...(sections.prefill ?? []), ...(sections.tree ?? [])]) {
  if (!passes || what.includes('attention')) continue;
  for (const [pass, ms] of Object.entries(passes))
    rows.push({ part: 'passes', what, tokens, pass, ms, share: ms / gpuMs, wallMs });
}
for (const { what, tokens, heads, headDim, type, wallMs, tensorBytes, tier, failure } of [
  ...(sections.tfjs ?? []),
  ...(sections.onnxruntime ?? []),
])
  rows.push({
    part: 'web',
    what,
    tokens,
    heads,
    headDim,
    type,
    tier,
    wallMs: failure ? undefined : wallMs,
    tensorBytes,
    failure: failure?.split('\n')[0],
  });
// Checks that outlast their section's time finish beside the next ones; the log has them.
const log = existsSync(join(folder, 'webgpu.log')) ? readFileSync(join(folder, 'webgpu.log'), 'utf8') : '';
const searchLines = [...log.matchAll(/^\{"check":.*"ok":(true|false)/gm)];
const attentionLine = /attention checks: (\d+) of (\d+) pass/.exec(log);
if (attentionLine)
  rows.push({
    part: 'checks',
    what: 'attention against float64',
    passed: Number(attentionLine[1]),
    of: Number(attentionLine[2]),
  });
if (searchLines.length > 0)
  rows.push({
    part: 'checks',
    what: 'search masks against the reference, decode against float64',
    passed: searchLines.filter(([, ok]) => ok === 'true').length,
    of: searchLines.length,
  });
const document = {
  name: 'webgpu',
  quick: false,
  environment: {
    gpu: environment.description,
    device: environment.device,
    tier: environment.profile.tier,
    toggles: environment.toggles,
    torch: torch && `${torch.torch} on ${torch.device}`,
    date: environment.date.slice(0, 10),
    command: 'bash benchmarks/device/run.sh',
  },
  rows: rows.map(tidy),
};
const target = join(dirname(fileURLToPath(import.meta.url)), '../results/webgpu.json');
writeFileSync(target, `${JSON.stringify(document, undefined, 2)}\n`);
process.stdout.write(`${rows.length} rows → ${target}\n`);
