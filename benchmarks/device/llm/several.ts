// Conversations that decode together, and the host's part of it.
import type { Sequence } from '../../../packages/llm/src/engine/types.ts';
import { sampled } from './host.ts';
import { launchCost } from './launches.ts';
import { decodeTimes, profiled, round, timed, withEngine, type Surroundings } from './measure.ts';
import { rawSteps } from './raw-steps.ts';
import { randomIds, randomModel, SHAPES } from './shapes.ts';

/** Conversations that decode at once, against one. */
export async function together(at: Surroundings): Promise<void> {
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
export async function host(at: Surroundings): Promise<void> {
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
export async function eight(at: Surroundings): Promise<void> {
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
    const { queuedUs, timedUs } = await launchCost(engine.model.context);
    at.add({ what: 'launch', queuedUs: round(queuedUs), timedUs: round(timedUs) });
    for (const row of await rawSteps(engine, randomIds(at.tiny ? 50 : 2048, vocabulary), [1, 8], [1, 2, 4]))
      at.add({
        what: 'raw-steps',
        ...Object.fromEntries(Object.entries(row).map(([name, value]) => [name, round(value)])),
      });
  });
}
