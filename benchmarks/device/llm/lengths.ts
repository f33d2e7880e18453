// Prompts and tokens of one conversation at growing lengths.
import type { Sequence } from '../../../packages/llm/src/engine/types.ts';
import {
  decodeTimes,
  gpuMiB,
  heldMiB,
  median,
  profiled,
  round,
  timed,
  withEngine,
  type Surroundings,
} from './measure.ts';
import { randomIds, randomModel, SHAPES } from './shapes.ts';

/** Prompts and tokens at growing lengths. */
export async function qwen(at: Surroundings): Promise<void> {
  const shape = at.tiny ? 'tiny' : 'qwen3-0.6b';
  const folder = randomModel(shape, 'F16');
  const lengths = at.tiny ? [256, 1024] : [2048, 32_768, 131_072];
  const vocabulary = SHAPES[shape]!['vocab_size'] as number;
  for (const weights of (process.env['WEIGHTS'] ?? 'f16,q4,q8').split(',') as ('f16' | 'q8' | 'q4')[]) {
    for (const length of lengths) {
      if (weights !== 'f16' && length > 40_000) continue;
      const before = gpuMiB();
      await withEngine(
        at,
        folder,
        { weights, contextTokens: length + 256, cacheTokens: length + 256 },
        async (engine) => {
          const prompt = randomIds(length, vocabulary);
          const read = async (): Promise<{ ms: number; sequence: Sequence }> => {
            const sequence = engine.createSequence();
            const { ms } = await timed(() => sequence.candidates(prompt));
            return { ms, sequence };
          };
          const warm = await read();
          const prefill = [warm.ms];
          let { sequence } = warm;
          for (let i = 0; i < (length > 40_000 ? 1 : 3); i++) {
            sequence.dispose();
            const again = await read();
            prefill.push(again.ms);
            sequence = again.sequence;
          }
          // A GPU that was idle lowers its clocks.
          await decodeTimes(sequence, at.tiny ? 8 : 96);
          const times = await decodeTimes(sequence, at.tiny ? 8 : 96);
          const sorted = times.toSorted((a, b) => a - b);
          const after = gpuMiB();
          at.add({
            what: 'qwen',
            shape,
            weights,
            length,
            prefillMs: round(median(prefill.slice(1))),
            firstPrefillMs: round(prefill[0]!),
            tokenMs: round(median(times)),
            tokenMeanMs: round(times.reduce((a, b) => a + b, 0) / times.length),
            tokenMostMs: round(sorted.at(-1)!),
            engineGB: round(engine.memory.total / 1e9),
            weightsGB: round(engine.memory.weights / 1e9),
            cacheGB: round(engine.memory.cache / 1e9),
            scratchGB: round(engine.memory.scratch / 1e9),
            gpuMiB: before !== undefined && after !== undefined ? after - before : undefined,
          });
          if (process.env['PROFILE'] === '1') {
            const token = await profiled(engine, async () => decodeTimes(sequence, 1));
            at.add({
              what: 'token-profile',
              weights,
              length,
              rows: token.map((row) => ({ ...row, ms: round(row.ms) })),
            });
            if (length <= 40_000) {
              sequence.dispose();
              const chunk = await profiled(engine, async () => {
                sequence = engine.createSequence();
                await sequence.forward(prompt.subarray(0, Math.min(length, 2048)), { logits: 'none' });
              });
              at.add({
                what: 'chunk-profile',
                weights,
                length: Math.min(length, 2048),
                rows: chunk.map((row) => ({ ...row, ms: round(row.ms) })),
              });
            }
          }
          if (process.env['PROFILE'] === '1' && length > 40_000) {
            const chunk = await profiled(engine, async () => {
              sequence.truncate(length - 2048);
              await sequence.forward(prompt.subarray(-2048), { logits: 'none' });
            });
            at.add({
              what: 'chunk-profile',
              weights,
              length,
              rows: chunk.map((row) => ({ ...row, ms: round(row.ms) })),
            });
          }
        },
      );
    }
  }
}

/** Blocks of four bits against f16, in turns on one device: what a clock does to one it does to the other. */
export async function turns(at: Surroundings): Promise<void> {
  const shape = at.tiny ? 'tiny' : 'qwen3-0.6b';
  const folder = randomModel(shape, 'F16');
  const vocabulary = SHAPES[shape]!['vocab_size'] as number;
  for (const length of at.tiny ? [256] : (process.env['LENGTHS'] ?? '2048,32768').split(',').map(Number)) {
    const options = { contextTokens: length + 512, cacheTokens: length + 512 };
    await withEngine(at, folder, { ...options, weights: 'f16' }, async (half) => {
      await withEngine(at, folder, { ...options, weights: 'q4' }, async (four) => {
        const prompt = randomIds(length, vocabulary);
        const sides = { f16: half, q4: four };
        const sequences = new Map<string, Sequence>();
        const prefill: Record<string, number[]> = { f16: [], q4: [] };
        const token: Record<string, number[]> = { f16: [], q4: [] };
        for (let turn = 0; turn < (length > 10_000 ? 5 : 9); turn++)
          for (const [name, engine] of Object.entries(sides)) {
            sequences.get(name)?.dispose();
            const sequence = engine.createSequence();
            const { ms } = await timed(() => sequence.candidates(prompt));
            // The first compiles.
            if (turn > 1) prefill[name]!.push(ms);
            sequences.set(name, sequence);
          }
        for (let turn = 0; turn < (at.tiny ? 3 : 9); turn++)
          for (const [name, sequence] of sequences) {
            const times = await decodeTimes(sequence, at.tiny ? 2 : 24);
            // Pages and masks of the other side were read last.
            if (turn > 0) token[name]!.push(...times.slice(at.tiny ? 0 : 4));
          }
        for (const name of Object.keys(sides))
          at.add({
            what: 'turns',
            weights: name,
            length,
            prefillMs: round(median(prefill[name]!)),
            tokenMs: round(median(token[name]!)),
            tokenLeastMs: round(Math.min(...token[name]!)),
            tokens: token[name]!.length,
          });
        for (const [name, engine] of Object.entries(sides)) {
          const passes = await profiled(engine, async () => decodeTimes(sequences.get(name)!, 1));
          at.add({
            what: 'token-profile',
            weights: name,
            length,
            rows: passes.map((row) => ({ ...row, ms: round(row.ms) })),
          });
        }
      });
    });
  }
}

/** A million tokens, then one more. */
export async function long(at: Surroundings): Promise<void> {
  const shape = at.tiny ? 'tiny' : 'smollm2-135m';
  const folder = randomModel(shape, 'F16');
  const vocabulary = SHAPES[shape]!['vocab_size'] as number;
  for (const length of (process.env['LONG'] ?? (at.tiny ? '1024' : '131072,1048576')).split(',').map(Number)) {
    for (const offload of (process.env['OFFLOAD'] ?? '0,1').split(',').map((flag) => flag === '1')) {
      const tokens = Math.min(49_152, Math.ceil(length / 4));
      const before = gpuMiB();
      const options = {
        contextTokens: length + 256,
        cacheTokens: length + 256,
        ...(offload && { offload: { tokens } }),
      };
      await withEngine(at, folder, options, async (engine) => {
        const sequence = engine.createSequence();
        const prompt = randomIds(length, vocabulary);
        let [most, held] = [0, 0];
        const { ms } = await timed(() =>
          sequence.candidates(prompt, {
            onProgress: (done) => {
              if (Math.floor((done / length) * 20) > most) {
                most = Math.floor((done / length) * 20);
                at.log(`long ${length} ${offload} ${done}`);
                if (most % 4 === 1) held = Math.max(held, gpuMiB() ?? 0);
              }
            },
          }),
        );
        await decodeTimes(sequence, at.tiny ? 2 : 8);
        const times = await decodeTimes(sequence, at.tiny ? 4 : 16);
        const after = gpuMiB();
        at.add({
          what: 'long',
          shape,
          length,
          offload,
          ...(offload && { tokensOnGpu: tokens }),
          prefillMs: round(ms),
          tokenMs: round(median(times)),
          tokenMostMs: round(Math.max(...times)),
          engineGB: round(engine.memory.total / 1e9),
          gpuMiB: before !== undefined && after !== undefined ? after - before : undefined,
          gpuMostMiB: before === undefined ? undefined : Math.max(held, after ?? 0) - before,
          hostMiB: round(heldMiB()),
          hostPagesGB: round(engine.model.pool.hostBytes / 1e9),
        });
      });
    }
  }
}
