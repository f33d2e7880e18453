// SmolLM2-135M from its GGUF on two threads of the CPU, beside llama.cpp on the same file: prefill, a token after a context, quality, memory.
import { stat } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { smollm2 } from '@hip/attention/profiles';
import { loadEngine, type EngineOptions } from '@hip/llm';
import { sharedPath } from '@hip/testing';
import type { Benchmark } from './benchmark.ts';
import { llamaCpp } from './llm-cpu/peer.ts';
import { distanceRow, perplexityRow } from './llm-cpu/quality.ts';
import { ours, speedRows, theirs } from './llm-cpu/speed.ts';
import { windowsOf } from './quality-smollm2/windows.ts';

const CONTEXT = 8192;

const ENGINES: Readonly<Record<string, EngineOptions>> = {
  dense: { attention: 'dense' },
  HiP: { attention: {} },
  'HiP, profile': { attention: { profile: smollm2 } },
};

export const benchmark: Benchmark = {
  name: 'llm-cpu',
  description: 'SmolLM2 from its GGUF against llama.cpp on two threads: prefill, token, perplexity, memory',
  async run({ quick, log }) {
    const folder = sharedPath('models', 'smollm2-135m-instruct');
    const books = sharedPath('goldens', 'smollm2', 'books.safetensors');
    if (!folder || !books) throw new Error('llm-cpu needs ../shared/models and ../shared/goldens (CONTRIBUTING.md)');
    const model = `${folder}/SmolLM2-135M-Instruct.Q4_1.gguf`;
    const threads = Math.min(2, availableParallelism());
    const windows = await windowsOf(books);
    const text = [...windows[0]!.ids];
    const rows: Record<string, unknown>[] = [];
    const engines = await Promise.all(
      Object.entries(ENGINES).map(async ([name, options]) => {
        const start = performance.now();
        const engine = await loadEngine(model, { threads, contextTokens: CONTEXT, ...options });
        return { name, engine, loadMs: performance.now() - start };
      }),
    );
    using peer = await llamaCpp(model, { threads, context: CONTEXT, log });
    try {
      const fileBytes = (await stat(model)).size;
      for (const { name, engine, loadMs } of engines) {
        const { weights, scratch, total } = engine.memory;
        const share = Number((total / fileBytes).toFixed(3));
        rows.push({
          part: 'memory',
          engine: name,
          loadMs: Math.round(loadMs),
          weights,
          scratch,
          total,
          fileBytes,
          share,
        });
      }
      const candidates = engines.map(({ name, engine }) => ours(name, engine));
      const lengths = quick ? [512] : [512, 2048, 8000];
      const compared = peer ? [...candidates, theirs(peer)] : candidates;
      rows.push(...(await speedRows(compared, text, lengths, { repeats: quick ? 1 : 3, steps: quick ? 8 : 24, log })));
      const [dense] = engines as [(typeof engines)[number]];
      for (const { name, engine } of engines) {
        for (const window of quick ? windows.slice(0, 1) : windows) {
          for (const tokens of quick ? [512] : [2048, 8192]) {
            rows.push(await perplexityRow(name, engine, window, tokens));
            log(JSON.stringify(rows.at(-1)));
          }
          if (engine === dense.engine) continue;
          rows.push(await distanceRow(name, { dense: dense.engine, engine }, window, quick ? 1536 : 8192, 256));
          log(JSON.stringify(rows.at(-1)));
        }
      }
      return {
        rows,
        environment: { threads, ...(peer && { llamaCppPython: peer.version, llamaCppLoadMs: peer.loadMs }) },
      };
    } finally {
      for (const { engine } of engines) engine.close();
    }
  },
};
