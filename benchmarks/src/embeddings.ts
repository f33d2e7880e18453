// Sentence embeddings with MiniLM on two threads of the CPU: @hip/llm/embedder against onnxruntime-node with the exported graph.
// HIP_EMBEDDINGS_REPEATS: rounds, interleaved.
import { readFile } from 'node:fs/promises';
import { availableParallelism, loadavg } from 'node:os';
import { openCheckpoint } from '@hip/checkpoints';
import { loadEmbedder } from '@hip/llm/embedder';
import { sharedPath } from '@hip/testing';
import { median, type Benchmark } from './benchmark.ts';
import { createPeer } from './embeddings/peer.ts';

/** Sentences of the documentation: natural lengths. */
async function sentences(count: number): Promise<string[]> {
  const folder = new URL('../../docs/guide/', import.meta.url);
  const texts: string[] = [];
  for (const page of ['language-models.md', 'getting-started.md', 'parameters.md', 'benchmarks.md']) {
    const text = await readFile(new URL(page, folder), 'utf8').catch(() => '');
    const prose = text.replaceAll(/```[\s\S]*?```/g, '').replaceAll(/^[|#<-].*$/gm, '');
    texts.push(
      ...prose
        .split(/(?<=[.!?])\s+/)
        .map((part) => part.trim())
        .filter((part) => part.length > 20),
    );
  }
  return texts.slice(0, count);
}

export const benchmark: Benchmark = {
  name: 'embeddings',
  description:
    'MiniLM sentence embeddings on two threads against onnxruntime: one sentence, natural lengths, full batches',
  async run({ quick, log }) {
    const folder = sharedPath('models', 'minilm-l6');
    if (!folder) throw new Error('embeddings needs ../shared/models (CONTRIBUTING.md)');
    const threads = Math.min(2, availableParallelism());
    const repeats = Number(process.env['HIP_EMBEDDINGS_REPEATS'] ?? (quick ? 3 : 15));
    const natural = await sentences(quick ? 32 : 256);
    const long = (words: number, texts: number) =>
      Array.from({ length: texts }, (_, i) =>
        natural.concat(natural).slice(i).join(' ').split(' ').slice(0, words).join(' '),
      );
    const workloads: Record<string, readonly string[]> = {
      'one sentence': natural.slice(0, 1),
      [`${natural.length} sentences`]: natural,
      '32 texts of about 128 tokens': long(90, 32),
      '8 texts of 256 tokens': long(300, 8),
    };
    await using checkpoint = await openCheckpoint(folder);
    const tokenizer = (await checkpoint.tokenizer())!;
    const rows: Record<string, unknown>[] = [];
    using embedder = await loadEmbedder(folder, { threads });
    const { width, maxTokens } = embedder;
    const peer = await createPeer(folder, threads, width);
    for (const [workload, texts] of Object.entries(workloads)) {
      const ids = texts.map((text) => tokenizer.encode(text, { maxTokens }));
      const candidates: Record<string, () => Promise<readonly Float32Array[]>> = {
        ours: async () => (await embedder.embed(texts)).vectors,
        'onnxruntime, sorted': async () =>
          peer.embed(
            texts.map((text) => tokenizer.encode(text, { maxTokens })),
            true,
          ),
        'onnxruntime, as given': async () =>
          peer.embed(
            texts.map((text) => tokenizer.encode(text, { maxTokens })),
            false,
          ),
      };
      const times: Record<string, { wall: number[]; cpu: number[] }> = {};
      let difference = 0;
      for (let round = -2; round < repeats; round++) {
        const found: Record<string, readonly Float32Array[]> = {};
        for (const [name, run] of Object.entries(candidates)) {
          const [start, before] = [performance.now(), process.cpuUsage()];
          found[name] = await run();
          const [wall, used] = [performance.now() - start, process.cpuUsage(before)];
          if (round < 0) continue;
          const own = (times[name] ??= { wall: [], cpu: [] });
          own.wall.push(wall);
          own.cpu.push((used.user + used.system) / 1000);
        }
        for (const [i, vector] of found['ours']!.entries()) {
          const other = found['onnxruntime, sorted']![i]!;
          for (let at = 0; at < width; at++) difference = Math.max(difference, Math.abs(vector[at]! - other[at]!));
        }
      }
      const tokens = ids.reduce((sum, { length }) => sum + length, 0);
      const peerMs = {
        wall: median(times['onnxruntime, sorted']!.wall),
        cpu: median(times['onnxruntime, sorted']!.cpu),
      };
      for (const [name, { wall, cpu }] of Object.entries(times)) {
        const row = {
          workload,
          texts: texts.length,
          tokens,
          engine: name,
          ms: Number(median(wall).toFixed(2)),
          least: Number(Math.min(...wall).toFixed(2)),
          cpuMs: Number(median(cpu).toFixed(2)),
          timesOnnxruntime: Number((median(wall) / peerMs.wall).toFixed(2)),
          cpuTimesOnnxruntime: Number((median(cpu) / peerMs.cpu).toFixed(2)),
          ...(name === 'ours' && { difference }),
        };
        rows.push(row);
        log(JSON.stringify(row));
      }
    }
    await peer.release();
    return { rows, environment: { threads, load: loadavg()[0], onnxruntime: '1.30.0' } };
  },
};
