// What packages/kernels-cpu/README.md shows of benchmarks/results/cpu-attention.json.

const ms = (value) => {
  if (value >= 10_000) return `${(value / 1000).toFixed(1)} s`;
  return value >= 100 ? `${value.toFixed(0)} ms` : `${value.toPrecision(2)} ms`;
};
const times = (value) => `${value.toFixed(1)}×`;
const percent = (value) => `${(100 * value).toFixed(0)} %`;
const mib = (value) => `${(value / 2 ** 20).toFixed(0)} MiB`;
const gib = (value) => `${(value / 2 ** 30).toFixed(1)} GiB`;

/** Markdown: prefill, break-even, decode, a million tokens. */
export function cpuAttentionTables({ rows, environment }) {
  const peak = rows.find(({ part, simd }) => part === 'peak' && simd === 'relaxed');
  const prefill = rows.filter(({ part }) => part === 'prefill');
  const lengths = [...new Set(prefill.map(({ tokens }) => tokens))];
  const wholes = prefill.some(({ what }) => what === 'onnxruntime GroupQueryAttention without its flash path');
  const lines = [
    `Causal prefill, 8 heads of 64, float32, ${environment.threads ?? '?'} threads of an ${environment.cpu ?? '?'}, Node ${environment.node ?? '?'}, all in one run in turns (\`npm run bench -- cpu-attention\`).`,
    `Share of peak: of ${peak.gflops.toFixed(0)} GFLOP/s, what these threads reach with relaxed-SIMD multiply-adds on registers alone; masked pairs count as no work.`,
    `onnxruntime: GroupQueryAttention, native code${wholes ? '; “no flash”: with `ORT_GQA_DISABLE_FLASH_ATTENTION=1`, the whole score matrix in memory' : ''}.`,
    'Literal: HiP with the paper’s own parameters (key blocks of 2, every second row scored).',
    '',
    `| T | onnxruntime |${wholes ? ' no flash |' : ''} dense | HiP | HiP against onnxruntime |${wholes ? ' no flash |' : ''} dense | share of peak: dense | HiP attention | search, of HiP’s time | HiP, literal |`,
    `|---|---|${wholes ? '---|---|' : ''}---|---|---|---|---|---|---|---|`,
  ];
  for (const tokens of lengths) {
    const row = (what) => prefill.find((r) => r.tokens === tokens && r.what === what);
    const dense = row('dense');
    const hip = row('HiP, shipped default');
    const literal = row('HiP, literal defaults of the paper');
    const whole = prefill.find(
      (r) => r.tokens === tokens && r.what === 'onnxruntime GroupQueryAttention without its flash path',
    );
    lines.push(
      `| ${tokens} | ${ms(row('onnxruntime GroupQueryAttention').ms)} |${wholes ? ` ${whole ? ms(whole.ms) : '–'} |` : ''} ${ms(dense.ms)} | ${ms(hip.ms)} | ${times(hip.timesFasterThanOnnx)} |${wholes ? ` ${whole ? times(hip.timesFasterThanOnnxWithoutFlash) : '–'} |` : ''} ${times(hip.timesFasterThanDense)} | ${percent(dense.attentionShareOfPeak)} | ${percent(hip.attentionShareOfPeak)} | ${percent(hip.searchShare)} | ${ms(literal.ms)} |`,
    );
  }
  const tfjs = prefill.find(({ what }) => what === 'tfjs-wasm operations');
  if (tfjs)
    lines.push(
      '',
      `The same at T = ${tfjs.tokens ?? '?'} in tfjs-wasm operations (one thread, T² memory): ${ms(tfjs.ms)}.`,
    );
  const even = rows.find(({ part, what }) => part === 'break-even' && what !== undefined);
  lines.push(`HiP is faster than dense from T = ${even.tokens ?? '?'} on.`, '');
  // A token that is appended, and the stages that are due: the mean of a refresh cycle.
  const hasSteps = rows.some(({ stepMs }) => stepMs !== undefined);
  lines.push(
    `| decode, one row | dense | search and attention |${hasSteps ? ' a token of a text |' : ''} cached mask | cached mask, a head group |`,
    `|---|---|---|${hasSteps ? '---|' : ''}---|---|`,
  );
  for (const row of rows.filter(({ part }) => part === 'decode')) {
    lines.push(
      `| ${row.tokens ?? '?'} tokens, ${row.heads ?? '?'} query heads over ${row.kvHeads ?? '?'}, ${row.cache ?? '?'} cache, ${mib(row.cacheBytes)} | ${ms(row.denseMs)} | ${ms(row.searchAndAttendMs)} |${hasSteps ? ` ${ms(row.stepMs)} |` : ''} ${ms(row.cachedMaskMs)} | ${ms(row.cachedMaskMsPerHeadGroup)} |`,
    );
  }
  const million = rows.find(({ part }) => part === 'million');
  const seconds = ['appendMs', 'searchMs', 'attentionMs'].reduce((sum, name) => sum + million[name] / 1e3, 0);
  lines.push(
    '',
    `${million.tokens ?? '?'} tokens of one layer (2 heads of 64, chunks of ${million.chunk ?? '?'}, k = 512): ${seconds.toFixed(0)} s of appending, search and attention, ${gib(million.wasmPeakBytes)} of WebAssembly memory, ${gib(million.processPeakBytes)} for the whole process.`,
  );
  return lines.join('\n');
}
