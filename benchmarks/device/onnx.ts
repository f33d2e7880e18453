// onnxruntime-web's whole graph against the same graph cut, at Qwen3-0.6B's shape: node BUNDLE --dawn dawn.node --ort FOLDER --out rows.json [--tiny] [--dtypes fp16] [--cut 2048,8192] [--whole 2048] [--short 2048] [--zeros 131072] [--kinds cut,growing,offload,whole] [--offload 4096] [--folder WRITTEN]
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import type * as Ort from 'onnxruntime-web';
import { requestHipDevice } from '@hip/kernels-webgpu';
import type { OnnxDtype } from '@instatune/supernet';
import { agreement, growthRow, sampleLogits, speedRows, zerosRow } from '../src/onnx-webgpu/measure.ts';
import { QWEN3, SHORT_POOL, TINY, writeModel } from '../src/onnx-webgpu/model.ts';
import { cutRunner, wholeRunner, type ModelFiles, type Runner } from '../src/onnx-webgpu/sessions.ts';

const { values } = parseArgs({
  options: {
    dawn: { type: 'string' },
    ort: { type: 'string' },
    bundle: { type: 'string', default: 'ort.webgpu.bundle.min.mjs' },
    out: { type: 'string' },
    tiny: { type: 'boolean', default: false },
    dtypes: { type: 'string', default: 'fp16,q4f16' },
    whole: { type: 'string', default: '2048,8192,32768' },
    cut: { type: 'string', default: '2048,8192,32768' },
    short: { type: 'string', default: '2048' },
    zeros: { type: 'string', default: '' },
    kinds: { type: 'string', default: 'cut,not captured,with checks,whole' },
    offload: { type: 'string', default: '4096' },
    offloaded: { type: 'string', default: '32768' },
    folder: { type: 'string' },
    write: { type: 'boolean', default: false },
    last: { type: 'string', default: '2048' },
    grown: { type: 'string', default: '600' },
    steps: { type: 'string', default: '12' },
    chunk: { type: 'string', default: '8192' },
    seconds: { type: 'string', default: '120' },
    features: { type: 'string', default: 'allow_unsafe_apis' },
  },
});
const { dawn, ort: folderOfOrt, out } = values;
if (!dawn || !folderOfOrt || !out) throw new Error('give --dawn PATH, --ort FOLDER and --out FILE');

const { create, globals } = createRequire(import.meta.url)(dawn) as {
  create: (options: string[]) => GPU;
  globals: object;
};
Object.assign(globalThis, globals);
const gpu = create([`enable-dawn-features=${values.features}`]);
// Dawn must outlive its objects.
Object.defineProperty(globalThis.navigator, 'gpu', { value: gpu, configurable: true });
const adapter = await gpu.requestAdapter({ powerPreference: 'high-performance' });
if (!adapter) throw new Error('no WebGPU adapter: is a Vulkan driver there?');
// onnxruntime-web iterates features with forEach, which Dawn's set in Node lacks.
const prototype = Object.getPrototypeOf(adapter.features) as { forEach?: unknown };
prototype.forEach ??= function forEach(this: Iterable<string>, visit: (feature: string) => void) {
  for (const feature of this) visit(feature);
};
const device = await requestHipDevice(adapter);
device.addEventListener('uncapturederror', ({ error }) => say({ uncaptured: error.message.slice(0, 400) }));

const ort = (await import(pathToFileURL(join(folderOfOrt, values.bundle)).href)) as typeof Ort;
Object.assign(ort.env.wasm, { numThreads: 1, wasmPaths: `${folderOfOrt}/` });
Object.assign(ort.env, { logLevel: 'error' });

const began = performance.now();
const deadline = began + 1000 * Number(values.seconds);
const rows: Record<string, unknown>[] = [];
function say(row: Record<string, unknown>): void {
  rows.push({ ...row, atSeconds: Math.round((performance.now() - began) / 100) / 10 });
  process.stdout.write(`${JSON.stringify(rows.at(-1))}\n`);
  const { vendor, architecture, description } = adapter!.info;
  writeFileSync(out!, JSON.stringify({ adapter: { vendor, architecture, description }, rows }, null, 1));
}

const shape = values.tiny ? TINY : QWEN3;
const lengthsOf = (text: string) => text.split(',').filter(Boolean).map(Number);
/** A model that lies in the folder, or is written there now. */
async function modelIn(folder: string, dtype: OnnxDtype, contextLength: number): Promise<ModelFiles> {
  const note = join(folder, 'model-file.txt');
  if (existsSync(note)) return { folder, model: readFileSync(note, 'utf8') };
  const report = await writeModel(shape, folder, dtype, contextLength, values.folder ? SHORT_POOL : undefined);
  writeFileSync(note, report.model);
  say({ dtype, written: report.bytes });
  return { folder, model: report.model };
}

const work = mkdtempSync(join(tmpdir(), 'onnx-webgpu-'));
try {
  for (const dtype of values.dtypes.split(',') as OnnxDtype[]) {
    const all = [values.whole, values.cut, values.offloaded, values.zeros].flatMap(lengthsOf);
    const contextLength = Math.max(...all) + 1024;
    const files = await modelIn(join(values.folder ?? work, dtype), dtype, contextLength);
    if (values.write) continue;
    const growing = { gpuDevice: device };
    const own = { ...growing, maxTokens: contextLength };
    const plain = { sessionOptions: { enableGraphCapture: false } };
    const checked = { sessionOptions: { executionProviders: [{ name: 'webgpu', validationMode: 'basic' }] } };
    const unchecked = { provider: { validationMode: 'disabled' }, name: 'onnxruntime-web, whole, without its checks' };
    const plan = { steps: Number(values.steps), chunk: Number(values.chunk), deadline };
    const short = lengthsOf(values.short);
    const sample = { tokens: short[0] ?? 2048, steps: 8 };
    const offload = Number(values.offload);
    const offloaded = `cut, ${offload} tokens of a layer on the GPU`;
    const kinds = {
      cut: [() => cutRunner(ort, files, own, 'cut'), lengthsOf(values.cut)],
      'not captured': [() => cutRunner(ort, files, { ...own, ...plain }, 'cut, not captured'), short],
      'with checks': [() => cutRunner(ort, files, { ...own, ...checked }, "cut, with the provider's checks"), short],
      growing: [() => cutRunner(ort, files, growing, 'cut, without maxTokens'), lengthsOf(values.offloaded)],
      offload: [() => cutRunner(ort, files, { ...growing, offload }, offloaded), lengthsOf(values.offloaded)],
      whole: [() => wholeRunner(ort, files, device), lengthsOf(values.whole)],
      'whole unchecked': [() => wholeRunner(ort, files, device, unchecked), short],
    } as const satisfies Record<string, readonly [() => Promise<Runner>, readonly number[]]>;
    let captured: Float32Array[] | undefined;
    /** Logits after the last token of a length, of the first session that ran it. */
    const atLengths = new Map<number, Float32Array>();
    const log = (row: Record<string, unknown>): void => say({ dtype, ...row });
    for (const kind of values.kinds.split(',') as (keyof typeof kinds)[]) {
      const [make, lengths] = kinds[kind];
      const start = performance.now();
      try {
        const runner = await make();
        log({ session: runner.name, createdMs: Math.round(performance.now() - start) });
        await speedRows(runner, { ...plan, lengths }, shape.vocabulary, (row, logits) => {
          const known = atLengths.get(row['tokens'] as number);
          if (logits && !known) atLengths.set(row['tokens'] as number, logits);
          log(known && logits ? { ...row, againstCut: agreement([logits], [known]) } : row);
        });
        if (kind === 'growing') {
          const grown = { tokens: sample.tokens, steps: Number(values.grown), deadline };
          log(await growthRow(runner, grown, shape.vocabulary));
        }
        if (runner.zeros && values.zeros !== '') {
          const past = Number(values.zeros);
          log(await zerosRow(runner, { past, tokens: 1, times: 5 }));
          const tokens = Number(values.last);
          if (tokens > 1) log(await zerosRow(runner, { past: past - tokens, tokens, times: 2 }));
        }
        if (kind === 'cut') captured = await sampleLogits(runner, sample, shape.vocabulary);
        else if (captured && kind !== 'with checks') {
          const others = await sampleLogits(runner, sample, shape.vocabulary);
          log({ part: `cut against ${kind}`, tokens: sample.tokens, ...agreement(captured, others) });
        }
        await runner.release();
      } catch (error) {
        log({ kind, failure: String(error).slice(0, 500) });
      }
    }
  }
} finally {
  rmSync(work, { recursive: true, force: true });
}
// onnxruntime-web keeps the process alive.
process.exit(0);
