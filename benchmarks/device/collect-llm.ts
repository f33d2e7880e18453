// Makes benchmarks/results/webgpu-llm.json of a device run's files: node benchmarks/device/collect-llm.ts FOLDER; what a run lacks stays as it was.
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

type Row = Record<string, unknown>;
interface Pass {
  readonly label: string;
  readonly dispatches: number;
  readonly ms: number;
}

const [folder] = process.argv.slice(2);
if (!folder) throw new Error('give the folder of a run: its *.json');
const target = join(dirname(fileURLToPath(import.meta.url)), '../results/webgpu-llm.json');
const stored = JSON.parse(readFileSync(target, 'utf8')) as { environment: Row; rows: Row[] };
const files = readdirSync(folder).filter((name) => name.endsWith('.json') && name !== 'torch.json');
const found = files.flatMap((name) => (JSON.parse(readFileSync(join(folder, name), 'utf8')) as { rows: Row[] }).rows);
const torch = existsSync(join(folder, 'torch.json'))
  ? (JSON.parse(readFileSync(join(folder, 'torch.json'), 'utf8')) as { rows: Row[] }).rows
  : [];
const of = (what: string): Row[] => found.filter((row) => row['what'] === what && row['failure'] === undefined);
const bytes = (value: unknown, unit: number): number | undefined =>
  typeof value === 'number' ? Math.round(value * unit) : undefined;
const MIB = 2 ** 20;

/** Bytes a second that an H200's memory gives at most. */
const BANDWIDTH = 4.8e12;
/** Numbers of Qwen3-0.6B's weights that a kind of dispatch reads a token. */
const WEIGHTS: Readonly<Record<string, number>> = {
  'qkv/rows': 28 * 4096 * 1024,
  'output/rows': 28 * 2048 * 1024,
  'gate-up/rows': 28 * 6144 * 1024,
  'down/rows': 28 * 3072 * 1024,
  'head/rows': 151_936 * 1024,
};
/** Bytes of a number; 4 bits are 20 bytes for 32 numbers, and 34 in the head. */
const sizeOf = (weights: unknown, label: string): number =>
  weights === 'q4' ? (label === 'head/rows' ? 34 : 20) / 32 : 2;

/** A profile's rows, beside what its bytes and its launches alone would take. */
function dispatches(row: Row, extra: Row, conversations = 1): Row[] {
  const launch = of('launch')[0]?.['queuedUs'] as number | undefined;
  return (row['rows'] as Pass[]).map(({ label, dispatches: count, ms }) => {
    const keys = label === 'decode/dense' ? conversations * Number(extra['tokens']) * 28 * 2 * 1024 * 2 : undefined;
    const read = label in WEIGHTS ? WEIGHTS[label]! * sizeOf(extra['weights'], label) : keys;
    return {
      part: 'dispatches',
      ...extra,
      label,
      dispatches: count,
      gpuMs: ms,
      ...(read !== undefined && { bytesMs: Number(((read / BANDWIDTH) * 1000).toPrecision(3)) }),
      ...(launch !== undefined && { launchesMs: Number(((count * launch) / 1000).toPrecision(3)) }),
    };
  });
}

/** Some of a row's columns, as they are. */
const pick = (row: Row, ...names: readonly string[]): Row => Object.fromEntries(names.map((name) => [name, row[name]]));
const without = (row: Row): Row => Object.fromEntries(Object.entries(row).filter(([name]) => name !== 'what'));

const made: Row[] = [
  ...of('load').map((row) => ({
    part: 'load',
    ...pick(row, 'shape', 'weights', 'loadMs', 'firstTokenMs', 'shaders', 'compileMs'),
    hostPeakBytes: bytes(row['hostPeakMiB'], MIB),
    hostBeforeBytes: bytes(row['hostBeforeMiB'], MIB),
  })),
  ...of('golden').map((row) => ({ part: 'goldens', ...without(row) })),
  ...of('wasm').map((row) => ({
    part: 'goldens',
    name: 'random, against WebAssembly in float32',
    ...pick(row, 'weights', 'error', 'stepError'),
  })),
  ...of('turns').map((row) => ({
    part: 'turns',
    tokens: row['length'],
    ...pick(row, 'weights', 'prefillMs', 'tokenMs', 'tokenLeastMs'),
  })),
  ...of('qwen').map((row) => {
    const peer = row['weights'] === 'f16' ? torch.find(({ length }) => length === row['length']) : undefined;
    return {
      part: 'lengths',
      tokens: row['length'],
      ...pick(row, 'shape', 'weights', 'prefillMs', 'tokenMs', 'tokenMostMs'),
      ...(peer && {
        torchPrefillMs: peer['prefillMs'],
        torchTokenMs: peer['tokenMs'],
        torchPeakBytes: bytes(peer['peakMiB'], MIB),
      }),
      engineBytes: bytes(row['engineGB'], 1e9),
      cacheBytes: bytes(row['cacheGB'], 1e9),
      weightsBytes: bytes(row['weightsGB'], 1e9),
      gpuBytes: bytes(row['gpuMiB'], MIB),
    };
  }),
  ...of('token-profile').flatMap((row) =>
    dispatches(row, { of: 'token', weights: row['weights'], tokens: row['length'] }),
  ),
  ...of('eight-profile').flatMap((row) =>
    dispatches(row, { of: 'token of eight conversations', weights: 'f16', tokens: 2048 }, 8),
  ),
  ...of('chunk-profile').flatMap((row) =>
    (row['rows'] as Pass[]).map(({ label, dispatches: count, ms }) => {
      const where = { of: 'chunk of 2,048', weights: row['weights'], tokens: row['length'] };
      return { part: 'dispatches', ...where, label, dispatches: count, gpuMs: ms };
    }),
  ),
  ...of('launch').map((row) => ({ part: 'launch', ...without(row) })),
  ...of('raw-steps').map((row) => ({ part: 'steps', ...without(row) })),
  ...of('together').flatMap((row) => {
    const rates = row['tokensPerSecond'] as Record<string, number>;
    return Object.entries(rates).map(([conversations, rate]) => ({
      part: 'together',
      weights: row['weights'],
      conversations: Number(conversations),
      tokensPerSecond: rate,
      timesOne: Number((rate / rates['1']!).toPrecision(4)),
    }));
  }),
  ...of('long').map((row) => ({
    part: 'long',
    tokens: row['length'],
    ...pick(row, 'shape', 'offload', 'prefillMs', 'tokenMs', 'tokenMostMs'),
    gpuBytes: bytes(row['gpuMostMiB'] ?? row['gpuMiB'], MIB),
    ...(row['offload'] === true && {
      tokensOnGpu: row['tokensOnGpu'],
      hostPagesBytes: bytes(row['hostPagesGB'], 1e9),
    }),
  })),
];
const key = (row: Row): string =>
  row['part'] === 'long' ? `long ${String(row['tokens'])} ${String(row['offload'])}` : String(row['part']);
const measured = new Set(made.map(key));
const rows = [...stored.rows.filter((row) => !measured.has(key(row))), ...made];
writeFileSync(target, `${JSON.stringify({ ...stored, rows }, undefined, 2)}\n`);
process.stdout.write(`${made.length} rows measured, ${rows.length} in ${target}\n`);
