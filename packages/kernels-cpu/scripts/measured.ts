// The README's section of measurements, out of benchmarks/results/cpu-attention.json. `node scripts/measured.ts` rewrites it.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** A row or the environment of the stored results. */
export type ResultRow = Readonly<Record<string, string | number>>;

const ms = (value: string | number | undefined): string => {
  const x = value as number;
  return x >= 10_000 ? `${(x / 1000).toFixed(1)} s` : x >= 100 ? `${x.toFixed(0)} ms` : `${x.toPrecision(2)} ms`;
};
const times = (value: string | number | undefined): string => `${(value as number).toFixed(1)}×`;
const percent = (value: string | number | undefined): string => `${(100 * (value as number)).toFixed(0)} %`;
const mib = (value: string | number | undefined): string => `${((value as number) / 2 ** 20).toFixed(0)} MiB`;
const gib = (value: string | number | undefined): string => `${((value as number) / 2 ** 30).toFixed(1)} GiB`;

/** Markdown: prefill, break-even, decode, a million tokens. */
export function measuredTables(rows: readonly ResultRow[], environment: ResultRow): string {
  const peak = rows.find(({ part, simd }) => part === 'peak' && simd === 'relaxed')!;
  const prefill = rows.filter(({ part }) => part === 'prefill');
  const lengths = [...new Set(prefill.map(({ tokens }) => tokens as number))];
  const wholes = prefill.some(({ what }) => what === 'onnxruntime GroupQueryAttention without its flash path');
  const lines = [
    `Causal prefill, 8 heads of 64, float32, ${environment['threads'] ?? '?'} threads of an ${environment['cpu'] ?? '?'}, Node ${environment['node'] ?? '?'}, all in one run in turns (\`npm run bench -- cpu-attention\`).`,
    `Share of peak: of ${(peak['gflops'] as number).toFixed(0)} GFLOP/s, what these threads reach with relaxed-SIMD multiply-adds on registers alone; masked pairs count as no work.`,
    `onnxruntime: GroupQueryAttention, native code with AVX-512${wholes ? '; “no flash”: with `ORT_GQA_DISABLE_FLASH_ATTENTION=1`, the whole score matrix in memory' : ''}.`,
    'Literal: HiP with the paper’s own parameters (key blocks of 2, every second row scored).',
    '',
    `| T | onnxruntime |${wholes ? ' no flash |' : ''} dense | HiP | HiP against onnxruntime |${wholes ? ' no flash |' : ''} dense | share of peak: dense | HiP attention | search, of HiP’s time | HiP, literal |`,
    `|---|---|${wholes ? '---|---|' : ''}---|---|---|---|---|---|---|---|`,
  ];
  for (const tokens of lengths) {
    const row = (what: string): ResultRow => prefill.find((r) => r['tokens'] === tokens && r['what'] === what)!;
    const dense = row('dense');
    const hip = row('HiP, shipped default');
    const literal = row('HiP, literal defaults of the paper');
    const whole = prefill.find(
      (r) => r['tokens'] === tokens && r['what'] === 'onnxruntime GroupQueryAttention without its flash path',
    );
    lines.push(
      `| ${tokens} | ${ms(row('onnxruntime GroupQueryAttention')['ms'])} |${wholes ? ` ${whole ? ms(whole['ms']) : '–'} |` : ''} ${ms(dense['ms'])} | ${ms(hip['ms'])} | ${times(hip['timesFasterThanOnnx'])} |${wholes ? ` ${whole ? times(hip['timesFasterThanOnnxWithoutFlash']) : '–'} |` : ''} ${times(hip['timesFasterThanDense'])} | ${percent(dense['attentionShareOfPeak'])} | ${percent(hip['attentionShareOfPeak'])} | ${percent(hip['searchShare'])} | ${ms(literal['ms'])} |`,
    );
  }
  const tfjs = prefill.find(({ what }) => what === 'tfjs-wasm operations');
  if (tfjs)
    lines.push(
      '',
      `The same at T = ${tfjs['tokens'] ?? '?'} in tfjs-wasm operations (one thread, T² memory): ${ms(tfjs['ms'])}.`,
    );
  const even = rows.find(({ part, what }) => part === 'break-even' && what !== undefined)!;
  lines.push(`HiP is faster than dense from T = ${even['tokens'] ?? '?'} on.`, '');
  // A token that is appended, and the stages that are due: the mean of a refresh cycle.
  const hasSteps = rows.some(({ stepMs }) => stepMs !== undefined);
  lines.push(
    `| decode, one row | dense | search and attention |${hasSteps ? ' a token of a text |' : ''} cached mask | cached mask, a head group |`,
    `|---|---|---|${hasSteps ? '---|' : ''}---|---|`,
  );
  for (const row of rows.filter(({ part }) => part === 'decode')) {
    lines.push(
      `| ${row['tokens'] ?? '?'} tokens, ${row['heads'] ?? '?'} query heads over ${row['kvHeads'] ?? '?'}, ${row['cache'] ?? '?'} cache, ${mib(row['cacheBytes'])} | ${ms(row['denseMs'])} | ${ms(row['searchAndAttendMs'])} |${hasSteps ? ` ${ms(row['stepMs'])} |` : ''} ${ms(row['cachedMaskMs'])} | ${ms(row['cachedMaskMsPerHeadGroup'])} |`,
    );
  }
  const million = rows.find(({ part }) => part === 'million')!;
  const seconds = ['appendMs', 'searchMs', 'attentionMs'].reduce(
    (sum, name) => sum + (million[name] as number) / 1e3,
    0,
  );
  lines.push(
    '',
    `${million['tokens'] ?? '?'} tokens of one layer (2 heads of 64, chunks of ${million['chunk'] ?? '?'}, k = 512): ${seconds.toFixed(0)} s of appending, search and attention, ${gib(million['wasmPeakBytes'])} of WebAssembly memory, ${gib(million['processPeakBytes'])} for the whole process.`,
  );
  return lines.join('\n');
}

if (import.meta.main) {
  const root = join(import.meta.dirname, '..');
  const file = join(root, 'README.md');
  const { rows, environment } = JSON.parse(
    readFileSync(join(root, '../../benchmarks/results/cpu-attention.json'), 'utf8'),
  ) as { rows: ResultRow[]; environment: ResultRow };
  const text = readFileSync(file, 'utf8');
  const section = /(## Measured\n\n)[\s\S]*?(\n\n## How it is fast)/;
  writeFileSync(
    file,
    text.replace(
      section,
      (_, before: string, after: string) => `${before}${measuredTables(rows, environment)}${after}`,
    ),
  );
}
