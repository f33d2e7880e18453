// What is measured of the engine on a GPU, section by section.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { openSafetensors, fileSource } from '@hip/checkpoints';
import { watchCompiler } from './compile.ts';
import { sampled } from './host.ts';
import { loadEngine } from '../../../packages/llm/src/engine/load.ts';
import type { Sequence } from '../../../packages/llm/src/engine/types.ts';
import {
  decodeTimes,
  gpuMiB,
  heldMiB,
  median,
  peakMiB,
  profiled,
  resetPeak,
  timed,
  withEngine,
  type Surroundings,
} from './measure.ts';
import { rawSteps } from './raw-steps.ts';
import { randomIds, randomModel, SHAPES } from './shapes.ts';

const round = (value: number, digits = 3): number => Number(value.toPrecision(digits + 1));

/** Largest difference of two rows of logits, relative to the largest. */
function relativeError(found: ArrayLike<number>, expected: ArrayLike<number>): number {
  let [scale, worst] = [0, 0];
  for (let i = 0; i < expected.length; i++) {
    scale = Math.max(scale, Math.abs(expected[i]!));
    worst = Math.max(worst, Math.abs(found[i]! - expected[i]!));
  }
  return worst / scale;
}

const argmax = (row: Float32Array): number => row.indexOf(row.reduce((a, b) => Math.max(a, b), -Infinity));

/** Goldens of transformers, and this GPU against WebAssembly on a random model of a real shape. */
async function check(at: Surroundings): Promise<void> {
  const goldens = process.env['GOLDENS'] ?? '';
  for (const name of ['mistral', 'gemma3-text', 'qwen3-yarn', 'phi3', 'smollm3', 'llama-gqa', 'gpt2']) {
    const folder = join(goldens, name);
    if (!existsSync(folder)) continue;
    for (const weights of ['f32', 'f16'] as const) {
      const file = await openSafetensors(await fileSource(join(folder, 'golden.safetensors')));
      const ids = (await file.read('in.input_ids')).data as Int32Array;
      const expected = (await file.read('out.logits')).data as Float32Array;
      await file.close();
      await withEngine(at, folder, { weights, cache: weights }, async (engine) => {
        const { vocabulary } = engine;
        const length = Math.min(
          ids.length,
          ids.length / (['mistral', 'gemma3-text', 'qwen3-yarn', 'phi3', 'smollm3'].includes(name) ? 1 : 2),
        );
        const found = await engine.createSequence().forward(ids.subarray(0, length), { logits: 'all' });
        const wanted = expected.subarray(0, length * vocabulary);
        const steps = engine.createSequence();
        await steps.forward(ids.subarray(0, length - 2), { logits: 'none' });
        await steps.forward(ids.subarray(length - 2, length - 1));
        const stepped = await steps.forward(ids.subarray(length - 1, length));
        at.add({
          what: 'golden',
          name,
          weights,
          error: round(relativeError(found, wanted)),
          stepError: round(relativeError(stepped, wanted.subarray(-vocabulary))),
        });
      });
    }
  }
  if (process.env['CHECK'] === 'goldens') return;
  const shape = at.tiny ? 'tiny' : 'smollm2-135m';
  const folder = randomModel(shape, 'F16');
  const prompt = randomIds(at.tiny ? 40 : 300, 500);
  const cpu = await loadEngine(folder, { backend: 'wasm', weights: 'f32', cache: 'f32', contextTokens: 1024 });
  const reference = await cpu.createSequence().forward(prompt);
  cpu.close();
  for (const weights of ['stored', 'q8', 'q4'] as const) {
    await withEngine(at, folder, { weights, contextTokens: 1024 }, async (engine) => {
      const whole = await engine.createSequence().forward(prompt);
      const sequence = engine.createSequence();
      await sequence.forward(prompt.subarray(0, -1), { logits: 'none' });
      const stepped = await sequence.forward(prompt.subarray(-1));
      at.add({
        what: 'wasm',
        shape,
        weights,
        error: round(relativeError(whole, reference)),
        stepError: round(relativeError(stepped, reference)),
        argmax: [argmax(whole), argmax(stepped), argmax(reference)],
      });
    });
  }
}

/** Prompts and tokens at growing lengths. */
async function qwen(at: Surroundings): Promise<void> {
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

/** A 1.2 GB file to its first token. */
async function load(at: Surroundings): Promise<void> {
  const shape = at.tiny ? 'tiny' : 'qwen3-0.6b';
  const folder = randomModel(shape, 'BF16');
  const oneByOne = process.env['COMPILE'] === 'one by one';
  for (const weights of (process.env['LOAD'] ?? 'stored,f16,q4').split(',') as ('stored' | 'f16' | 'q4')[]) {
    globalThis.gc?.();
    const before = heldMiB();
    resetPeak();
    const device = await at.device();
    const compiled = watchCompiler(device, oneByOne);
    const { ms, value: engine } = await timed(() => loadEngine(folder, { device, weights, contextTokens: 4096 }));
    const shaders = [...compiled()];
    const first = await timed(() => engine.createSequence().candidates(randomIds(64, 500)));
    const peak = peakMiB();
    at.add({
      what: 'load',
      shape,
      weights,
      loadMs: round(ms),
      firstTokenMs: round(first.ms),
      totalMs: round(ms + first.ms),
      shaders: shaders.length,
      compileMs: round(Math.max(...shaders.map(({ to }) => to))),
      oneByOne,
      slowest: shaders
        .toSorted((a, b) => b.to - b.from - a.to + a.from)
        .slice(0, oneByOne ? 60 : 12)
        .map(({ label, length, from, to }) => `${label} #${length}: ${Math.round(from)}–${Math.round(to)}`),
      hostPeakMiB: round(peak),
      hostBeforeMiB: round(before),
    });
    engine.close();
    device.destroy();
  }
}

/** Blocks of four bits against f16, in turns on one device: what a clock does to one it does to the other. */
async function turns(at: Surroundings): Promise<void> {
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
          at.add({ what: 'token-profile', weights: name, length, rows: passes.map((row) => ({ ...row, ms: round(row.ms) })) });
        }
      });
    });
  }
}

/** A million tokens, then one more. */
async function long(at: Surroundings): Promise<void> {
  const shape = at.tiny ? 'tiny' : 'smollm2-135m';
  const folder = randomModel(shape, 'F16');
  const vocabulary = SHAPES[shape]!['vocab_size'] as number;
  for (const length of (process.env['LONG'] ?? (at.tiny ? '1024' : '131072,1048576')).split(',').map(Number)) {
    for (const offload of (process.env['OFFLOAD'] ?? '0,1').split(',').map((flag) => flag === '1')) {
      const tokens = Math.min(65_536, Math.ceil(length / 4));
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

/** Conversations that decode at once, against one. */
async function together(at: Surroundings): Promise<void> {
  const shape = at.tiny ? 'tiny' : 'qwen3-0.6b';
  const folder = randomModel(shape, 'F16');
  const vocabulary = SHAPES[shape]!['vocab_size'] as number;
  const length = at.tiny ? 100 : 2048;
  const tokens = at.tiny ? 4 : 64;
  for (const weights of ['f16', 'q4'] as const) {
    await withEngine(
      at,
      folder,
      { weights, contextTokens: length + 512, cacheTokens: 8 * (length + 512) },
      async (engine) => {
        const rates: Record<number, number> = {};
        for (const count of [1, 2, 4, 8]) {
          const sequences: Sequence[] = [];
          for (let i = 0; i < count; i++) {
            const sequence = engine.createSequence();
            await sequence.forward(randomIds(length, vocabulary, i + 1), { logits: 'none' });
            sequences.push(sequence);
          }
          await Promise.all(sequences.map((sequence, i) => decodeTimes(sequence, at.tiny ? 2 : 64, i + 1)));
          const { ms } = await timed(() =>
            Promise.all(sequences.map((sequence, i) => decodeTimes(sequence, tokens, i + 1))),
          );
          rates[count] = round((1000 * count * tokens) / ms);
          for (const sequence of sequences) sequence.dispose();
        }
        at.add({
          what: 'together',
          shape,
          weights,
          length,
          tokensPerSecond: rates,
          gain: round(rates[8]! / rates[1]!),
        });
      },
    );
  }
}

/** The host's part: a prompt in chunks, tokens of one conversation and of eight. */
async function host(at: Surroundings): Promise<void> {
  const shape = at.tiny ? 'tiny' : 'qwen3-0.6b';
  const vocabulary = SHAPES[shape]!['vocab_size'] as number;
  const length = at.tiny ? 1024 : 32_768;
  const options = { weights: 'f16', contextTokens: length + 512, cacheTokens: 2 * length } as const;
  await withEngine(at, randomModel(shape, 'F16'), options, async (engine) => {
    const prompt = randomIds(length, vocabulary);
    const sequence = engine.createSequence();
    await sequence.forward(prompt, { logits: 'none' });
    sequence.truncate(0);
    at.add({
      what: 'host',
      of: 'prompt',
      length,
      ...(await sampled(async () => sequence.forward(prompt, { logits: 'none' }), 40)),
    });
    await decodeTimes(sequence, 40);
    at.add({ what: 'host', of: 'tokens', length, ...(await sampled(async () => decodeTimes(sequence, 64))) });
    sequence.truncate(0);
    await timed(() => sequence.candidates(prompt.subarray(0, 2048)));
    const short: number[] = [];
    for (let i = 0; i < 6; i++) {
      sequence.truncate(0);
      short.push((await timed(() => sequence.candidates(prompt.subarray(0, 2048)))).ms);
    }
    at.add({ what: 'host', of: 'prompts of 2,048, one after another', ms: short.map((value) => round(value)) });
  });
}

/** Where the time of eight conversations goes. */
async function eight(at: Surroundings): Promise<void> {
  const shape = at.tiny ? 'tiny' : 'qwen3-0.6b';
  const vocabulary = SHAPES[shape]!['vocab_size'] as number;
  const options = { weights: 'f16', contextTokens: 2560, cacheTokens: 8 * 2560 } as const;
  await withEngine(at, randomModel(shape, 'F16'), options, async (engine) => {
    const few: Sequence[] = [];
    for (let i = 0; i < 8; i++) {
      const own = engine.createSequence();
      await own.forward(randomIds(at.tiny ? 50 : 2048, vocabulary, i), { logits: 'none' });
      few.push(own);
    }
    const step = (count: number) => async () => Promise.all(few.map((own, i) => decodeTimes(own, count, i)));
    await step(24)();
    at.add({ what: 'host', of: 'eight', ...(await sampled(step(48))) });
    const passes = await profiled(engine, step(1));
    at.add({ what: 'eight-profile', rows: passes.map((row) => ({ ...row, ms: round(row.ms) })) });
    for (const own of few) own.dispose();
    for (const row of await rawSteps(engine, randomIds(at.tiny ? 50 : 2048, vocabulary), [1, 8], [1, 2, 4]))
      at.add({ what: 'raw-steps', ...Object.fromEntries(Object.entries(row).map(([name, value]) => [name, round(value)])) });
  });
}

/** SmolLM2 as published: losses of books. */
async function perplexity(at: Surroundings): Promise<void> {
  const model = process.env['SMOLLM2'] ?? '';
  const books = process.env['BOOKS'] ?? '';
  if (!existsSync(model) || !existsSync(books)) return;
  const file = await openSafetensors(await fileSource(books));
  for (const [name, config] of [
    ['dense', 'dense'],
    ['default', undefined],
  ] as const) {
    await withEngine(at, model, { contextTokens: 8192, ...(config && { attention: config }) }, async (engine) => {
      for (const window of ['war-and-peace.0', 'moby-dick.0']) {
        if (!file.tensors.has(`${window}.input_ids`)) continue;
        const ids = (await file.read(`${window}.input_ids`)).data as Int32Array;
        const expected = (await file.read(`${window}.nll`)).data as Float32Array;
        const length = at.tiny ? 64 : ids.length;
        const sequence = engine.createSequence();
        const { ms, value } = await timed(() => sequence.losses(ids.subarray(0, length)));
        sequence.dispose();
        const mean = (values: Float32Array): number =>
          values.subarray(0, length - 1).reduce((a, b) => a + b, 0) / (length - 1);
        at.add({
          what: 'perplexity',
          attention: name,
          window,
          tokens: length,
          ms: round(ms),
          perplexity: round(Math.exp(mean(value)), 5),
          reference: round(Math.exp(mean(expected)), 5),
          ratio: round(Math.exp(mean(value) - mean(expected)), 5),
        });
      }
    });
  }
}

export const SECTIONS: Readonly<Record<string, (at: Surroundings) => Promise<void>>> = {
  check,
  qwen,
  load,
  together,
  long,
  host,
  eight,
  turns,
  perplexity,
};
