// One layer over a million tokens, two key-value heads of 64, prefilled in chunks. Runs as a process of its own, to see its memory.
import { createCpuRuntime } from '@hip/kernels-cpu';
import { normals } from '@hip/playground/measure';

const [tokens = 1_048_576, chunk = 8192, heads = 2] = process.argv.slice(2).map(Number);
const kvHeads = 2;
const headDim = 64;
using cpu = await createCpuRuntime();
using cache = cpu.createCache({ heads, kvHeads, headDim, maxTokens: tokens });
const planned = cpu.plan({ batch: 1, queries: chunk, keys: tokens, heads, kvHeads, headDim }, {}).total;
let append = 0;
let search = 0;
let attention = 0;
let lastChunkMs = 0;
let total = 0;
for (let at = 0; at < tokens; at += chunk) {
  const size = chunk * headDim;
  const [q, k, v] = [normals(size * heads, at), normals(size * kvHeads, at + 1), normals(size * kvHeads, at + 2)];
  const before = performance.now();
  cache.append(k, v);
  append += performance.now() - before;
  cache.attend(q);
  search += cpu.times.search;
  attention += cpu.times.attention;
  lastChunkMs = performance.now() - before;
  total += lastChunkMs;
}
process.stdout.write(
  JSON.stringify({
    tokens,
    chunk,
    heads,
    kvHeads,
    headDim,
    // Without making up the inputs.
    seconds: total / 1e3,
    appendMs: append,
    searchMs: search,
    attentionMs: attention,
    lastChunkMs,
    plannedBytes: planned,
    wasmPeakBytes: cpu.peakBytes,
    processPeakBytes: process.resourceUsage().maxRSS * 1024,
  }),
);
