import { join } from 'node:path';
import { createCpuRuntime } from '@hip/kernels-cpu';
import { loadEngine } from './src/engine/load.ts';
import { argmaxRows, normError, tensorsOf } from './test/helpers/compare.ts';
const shared = '/work/shared';
const goldens = join(shared, 'goldens/smollm2');
const mean = (values: ArrayLike<number>) => Array.from(values).reduce((s, v) => s + v, 0) / values.length;
using cpu = await createCpuRuntime({ threads: 1 });
const proto = Object.getPrototypeOf(cpu.createCache({ heads: 1, kvHeads: 1, headDim: 64 })) as { append(k: Float32Array, v: Float32Array): void };
const own = proto.append;
let mode = process.argv[2] ?? 'none';
const D = 64, H = 3;
const rows = (x: Float32Array, width: number) => {
  const out = x.slice();
  for (let at = 0; at < x.length; at += width) {
    let most = 0;
    for (let i = 0; i < width; i++) most = Math.max(most, Math.abs(x[at + i]!));
    const scale = most / 127 || 1;
    for (let i = 0; i < width; i++) out[at + i] = Math.fround(Math.round(x[at + i]! / scale) * scale);
  }
  return out;
};
const channels = (x: Float32Array) => {
  const out = x.slice(); const w = H * D; const n = x.length / w;
  for (let first = 0; first < n; first += 256) {
    const end = Math.min(n, first + 256);
    for (let c = 0; c < w; c++) {
      let most = 0;
      for (let t = first; t < end; t++) most = Math.max(most, Math.abs(x[t * w + c]!));
      const scale = most / 127 || 1;
      for (let t = first; t < end; t++) out[t * w + c] = Math.round(x[t * w + c]! / scale) * scale;
    }
  }
  return out;
};
proto.append = function (k, v) {
  if (mode === 'none') own.call(this, k, v);
  else if (mode === 'token') own.call(this, rows(k, D), rows(v, D));
  else if (mode === 'token32') own.call(this, rows(k, 32), rows(v, 32));
  else own.call(this, channels(k), rows(v, D));
};
const engine = await loadEngine(join(shared, 'models/smollm2-135m-instruct/SmolLM2-135M-Instruct.Q4_1.gguf'), { contextTokens: 2048, threads: 2, backend: 'wasm', cache: 'f16' });
const tensors = await tensorsOf(join(goldens, 'golden.safetensors'));
const books = await tensorsOf(join(goldens, 'books.safetensors'));
const N = Number(process.argv[3] ?? 768);
for (mode of ['none', 'token', 'token32', 'channel']) {
  const ids = tensors.get('chat.input_ids')!;
  const s = engine.createSequence();
  const logits = await s.forward(ids, { logits: 'all' });
  s.dispose();
  const expected = tensors.get('chat.logits_last4')!;
  const last = logits.subarray(-expected.length);
  const bids = books.get('war-and-peace.0.input_ids')!.subarray(0, N);
  const t = engine.createSequence();
  const losses = await t.losses(bids);
  t.dispose();
  const ref = books.get('war-and-peace.0.nll')!.subarray(0, N - 1);
  console.log(mode, 'chat logits error', normError(last, expected).toExponential(3), 'argmax', String(argmaxRows(last, engine.vocabulary)) === String(argmaxRows(expected, engine.vocabulary)), 'ppl ratio', (Math.exp(mean(losses) - mean(ref))).toFixed(5), 'tokens', losses.length);
}
engine.close();
process.exit(0);
