// SmolLM2-135M's shape with random weights on a quiet machine's CPU: onnxruntime-node's whole graph against the graph cut, in turns.
// node BUNDLE --out rows.json [--dtype fp32] [--lengths 8192,16384] [--sessions whole,hip,spin,searched,profile] [--layers 30] [--threads 2] [--tiny]
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { smollm2 } from '@hip/attention/profiles';
import type { OnnxDtype } from '@instatune/supernet';
import { speedRows } from '../src/onnx-cpu/measure.ts';
import { cutRunner, wholeRunner, type Runner } from '../src/onnx-cpu/sessions.ts';
import { SMOLLM2, TINY, writeModel } from '../src/onnx-webgpu/model.ts';

const { values } = parseArgs({
  options: {
    out: { type: 'string' },
    dtype: { type: 'string', default: 'fp32' },
    lengths: { type: 'string', default: '8192,16384,32768' },
    sessions: { type: 'string', default: 'hip,profile,whole' },
    /** Fewer than the model has, on a machine without the time for all of them. */
    layers: { type: 'string', default: '30' },
    threads: { type: 'string', default: '2' },
    steps: { type: 'string', default: '16' },
    repeats: { type: 'string', default: '1' },
    tiny: { type: 'boolean', default: false },
  },
});
const { out } = values;
if (!out) throw new Error('give --out FILE');
const began = performance.now();
const [threads, steps, repeats] = [values.threads, values.steps, values.repeats].map(Number) as [
  number,
  number,
  number,
];
const lengths = values.lengths.split(',').map(Number);
const dtype = values.dtype as OnnxDtype;
const rows: Record<string, unknown>[] = [];

/** A row; the file is whole at any time. */
function say(row: Record<string, unknown>): void {
  rows.push({ dtype, ...row, atSeconds: Math.round((performance.now() - began) / 100) / 10 });
  process.stdout.write(`${JSON.stringify(rows.at(-1))}\n`);
  const environment = { cpu: cpus()[0]?.model, cpus: cpus().length, load: loadavg(), threads, node: process.version };
  writeFileSync(`${out}.part`, JSON.stringify({ environment, rows }, null, 1));
  renameSync(`${out}.part`, out!);
}

const { k: _, ...searched } = smollm2.config;
const profile = { ...searched, denseLayers: 0, layers: smollm2.layers };
const spins = { intraOpNumThreads: threads, extra: { session: { intra_op: { allow_spinning: '1' } } } };
const rests = { intraOpNumThreads: threads };
const shape = values.tiny ? TINY : { ...SMOLLM2, layers: Number(values.layers) };
const folder = mkdtempSync(join(tmpdir(), 'onnx-cpu-'));
const runners: Runner[] = [];
try {
  const report = await writeModel(shape, folder, dtype, Math.max(...lengths) + 64);
  const path = join(folder, report.model);
  say({ written: report.bytes });
  const make: Record<string, () => Promise<Runner>> = {
    whole: () => wholeRunner(path, threads),
    hip: () => cutRunner('HiP', path, threads, { sessionOptions: rests }),
    spin: () => cutRunner('HiP, onnxruntime spins', path, threads, { sessionOptions: spins }),
    searched: () =>
      cutRunner('HiP, no dense layers', path, threads, { config: { denseLayers: 0 }, sessionOptions: rests }),
    profile: () => cutRunner('HiP, profile', path, threads, { config: profile, sessionOptions: rests }),
  };
  // speedRows compares with the first one: the whole graph, where it is among them.
  const names = values.sessions.split(',');
  for (const name of names.toSorted((a, b) => Number(b === 'whole') - Number(a === 'whole'))) {
    runners.push(await make[name]!());
    say({ created: name });
  }
  const random = Int32Array.from({ length: 8192 }, (_unused, i) => (i * 7919) % (values.tiny ? 300 : 49_152));
  // Pages and code are touched before anything is timed.
  await speedRows(runners, random, { tokens: 256, repeats: 1, steps: 2 });
  for (const tokens of lengths) {
    for (const row of await speedRows(runners, random, { tokens, repeats, steps, seen: say })) say(row);
  }
  say({ done: true });
} catch (error) {
  say({ failure: String(error).slice(0, 500) });
} finally {
  for (const runner of runners) await runner.release();
  rmSync(folder, { recursive: true, force: true });
}
