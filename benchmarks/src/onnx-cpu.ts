// SmolLM2-135M as ONNX on two threads of the CPU: onnxruntime-node with the whole graph, and @hip/onnx with the graph cut at its attention.
// HIP_ONNX_LENGTHS: lengths of prompts; HIP_ONNX_DTYPES: fp32, q4; HIP_ONNX_PARTS: speed, perplexity, pass-keys; HIP_ONNX_REPEATS;
// HIP_ONNX_TEXTS: of pass-keys, at a tenth and half of two books;
// HIP_ONNX_SESSIONS: whole, hip, searched (a question, too), profile (speed is told against the first).
import { mkdtemp, rm } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { smollm2 } from '@hip/attention/profiles';
import { sharedPath } from '@hip/testing';
import { exportOnnx, loadCheckpoint, type OnnxDtype, type TextTokenizer } from '@instatune/supernet';
import type { Benchmark } from './benchmark.ts';
import { startTfjs } from './instatune/backend.ts';
import { perplexityRow, speedRows } from './onnx-cpu/measure.ts';
import { passKeyOf, passKeyRow } from './onnx-cpu/pass-keys.ts';
import { cutRunner, wholeRunner, type Runner } from './onnx-cpu/sessions.ts';
import { windowsOf } from './quality-smollm2/windows.ts';

export const benchmark: Benchmark = {
  name: 'onnx-cpu',
  description:
    'SmolLM2 as ONNX: onnxruntime with the whole graph against the graph cut at its attention: prefill, token, perplexity',
  async run({ quick, log }) {
    const folder = sharedPath('models', 'smollm2-135m-instruct');
    const books = sharedPath('goldens', 'smollm2', 'books.safetensors');
    if (!folder || !books) throw new Error('onnx-cpu needs ../shared/models and ../shared/goldens (CONTRIBUTING.md)');
    const { env } = process;
    const threads = Math.min(2, availableParallelism());
    const lengths = env['HIP_ONNX_LENGTHS']?.split(',').map(Number) ?? (quick ? [512] : [8192, 16_384, 32_768]);
    const dtypes = (env['HIP_ONNX_DTYPES']?.split(',') ?? ['fp32', 'q4']) as OnnxDtype[];
    const parts = env['HIP_ONNX_PARTS']?.split(',') ?? ['speed', 'perplexity'];
    const sessions = (env['HIP_ONNX_SESSIONS'] ?? (quick ? 'whole,hip' : 'whole,hip,profile')).split(',');
    const repeats = Number(env['HIP_ONNX_REPEATS'] ?? 1);
    const windows = await windowsOf(books);
    const window = windows[0]!;
    const rows: Record<string, unknown>[] = [];
    const out = await mkdtemp(join(tmpdir(), 'onnx-cpu-'));
    try {
      const { paths, tokenizer } = await exported(folder, out, dtypes, Math.max(8192, ...lengths) + 64);
      for (const [i, dtype] of dtypes.entries()) {
        const path = paths[i]!;
        const { k: _, ...searched } = smollm2.config;
        const profile = { ...searched, denseLayers: 0, layers: smollm2.layers };
        const all: Record<string, () => Promise<Runner>> = {
          whole: () => wholeRunner(path, threads),
          hip: () => cutRunner('HiP', path, threads, {}),
          // As rows of a text are by default.
          searched: () => cutRunner('HiP, a question searched', path, threads, { denseBelow: 2048 }),
          profile: () => cutRunner('HiP, profile', path, threads, { config: profile }),
        };
        const make = sessions.map((name) => all[name]!);
        if (parts.includes('speed')) {
          const runners: Runner[] = [];
          for (const each of make) runners.push(await each());
          for (const tokens of lengths) {
            const found = await speedRows(runners, window.ids, { tokens, repeats, steps: quick ? 4 : 16 });
            rows.push(...found.map((row) => ({ dtype, ...row })));
            for (const row of found) log(JSON.stringify({ dtype, ...row }));
          }
          for (const runner of runners) await runner.release();
        }
        if (parts.includes('pass-keys')) {
          const texts = windows.flatMap(({ ids }, seed) =>
            [0.1, 0.5].map((depth) =>
              passKeyOf(ids, tokenizer, { tokens: quick ? 1024 : 8192, depth, seed: 2 * seed + (depth < 0.5 ? 0 : 1) }),
            ),
          );
          for (const each of make) {
            const runner = await each();
            for (const text of texts.slice(0, Number(env['HIP_ONNX_TEXTS'] ?? (quick ? 1 : 4)))) {
              const row = { dtype, ...(await passKeyRow(runner, text, tokenizer)) };
              rows.push(row);
              log(JSON.stringify(row));
            }
            await runner.release();
          }
        }
        if (parts.includes('perplexity')) {
          // One session at a time, and 512 rows of logits: together they would not fit.
          for (const each of make) {
            const runner = await each();
            const row = { dtype, ...(await perplexityRow(runner, window, quick ? 1024 : 8192)) };
            rows.push(row);
            log(JSON.stringify(row));
            await runner.release();
          }
        }
      }
    } finally {
      await rm(out, { recursive: true, force: true });
    }
    return { rows, environment: { threads } };
  },
};

/** The model in each dtype; its tables reach beyond the trained length, where speed alone is measured. */
async function exported(
  folder: string,
  out: string,
  dtypes: readonly OnnxDtype[],
  contextLength: number,
): Promise<{ readonly paths: readonly string[]; readonly tokenizer: TextTokenizer }> {
  await startTfjs('wasm');
  const { model, tokenizer } = await loadCheckpoint(folder);
  try {
    const paths: string[] = [];
    for (const dtype of dtypes) {
      const report = await exportOnnx(model, undefined, out, { dtype, contextLength });
      paths.push(join(out, report.model));
    }
    return { paths, tokenizer: tokenizer! };
  } finally {
    model.dispose();
  }
}
