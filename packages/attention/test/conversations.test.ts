// What a model's conversations may rely on: a pass that fails changes nothing, others change nothing, chunks change nothing.
import * as tf from '@tensorflow/tfjs';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { describeGpu } from '@hip/testing';
import {
  hipModelAttention,
  hipModelCache,
  KvCache,
  prepareAttention,
  type ModelAttention,
  type ModelAttentionOptions,
  type PreparedAttention,
} from '../src/index.ts';
import { BACKENDS, SMALL, TOLERANCE, useBackend } from './helpers.ts';
import { ForeignCache, Injected, LAYERS, toyForward, type Failure, type ToyCache } from './toy-model.ts';

/** Leaves out keys from some fifty tokens on. */
const OPTIONS: ModelAttentionOptions = {
  config: { ...SMALL, k: 8, window: 8, sink: 4, stages: undefined, blockK: 2, refreshInterval: 4, denseLayers: 1 },
  dense: 'never',
};

interface Conversation {
  readonly cache: ToyCache & Disposable;
  readonly attention: ModelAttention;
}

type Kind = 'KvCache' | 'hipModelCache';

function start(kind: Kind, shared?: ModelAttention, options = OPTIONS): Conversation {
  if (kind === 'KvCache') return { cache: new KvCache(), attention: shared ?? hipModelAttention(options) };
  const cache = hipModelCache(options);
  return { cache, attention: cache.attention };
}

/** Chunks of a conversation: mostly single tokens once there is something to leave out. */
const chunk = fc.oneof(
  { weight: 3, arbitrary: fc.constant(1) },
  { weight: 1, arbitrary: fc.integer({ min: 2, max: 30 }) },
);
const idsOf = (seed: number, tokens: number): number[] =>
  Array.from({ length: tokens }, (_, i) => (seed * 17 + i * i * 7 + i * 3) % 64);

const failures: fc.Arbitrary<Failure> = fc.record({
  layer: fc.nat(LAYERS - 1),
  where: fc.constantFrom('before', 'attention', 'after'),
});

/** Steps of a conversation, some preceded by passes of other tokens that fail. */
const steps = fc.array(
  fc.record({
    tokens: chunk,
    failing: fc.array(fc.record({ tokens: chunk, failure: failures }), { maxLength: 2 }),
  }),
  { minLength: 1, maxLength: 10 },
);

async function failedPassChangesNothing(kind: Kind, runs: number, prompt = 60): Promise<void> {
  await fc.assert(
    fc.asyncProperty(steps, async (list) => {
      const [tried, never] = [start(kind), start(kind)];
      using _ = tried.cache;
      using __ = never.cache;
      for (const [step, { tokens, failing }] of [{ tokens: prompt, failing: [] }, ...list].entries()) {
        for (const { tokens: wrong, failure } of failing) {
          const { length } = tried.cache;
          await expect(toyForward(idsOf(99, wrong), { ...tried, failure })).rejects.toThrow(Injected);
          expect(tried.cache.length).toBe(length);
        }
        const ids = idsOf(step, tokens);
        expect(await toyForward(ids, tried)).toEqual(await toyForward(ids, never));
      }
    }),
    { numRuns: runs, examples: [[[{ tokens: 1, failing: [{ tokens: 20, failure: { layer: 0, where: 'before' } }] }]]] },
  );
}

/** Conversations that share one function, in any order, some forked off another, against each of them alone. */
async function interleavedEqualAlone(runs: number, prompt = 60): Promise<void> {
  const turn = fc.record({ of: fc.nat(2), tokens: chunk, forks: fc.boolean() });
  await fc.assert(
    fc.asyncProperty(fc.array(turn, { minLength: 3, maxLength: 14 }), async (turns) => {
      const shared = hipModelAttention(OPTIONS);
      const made: ForeignCache[] = [];
      const make = (cache = new ForeignCache()): ForeignCache => {
        made.push(cache);
        return cache;
      };
      // The tokens of each conversation so far, by pass.
      const talks = [0, 1, 2].map((seed) => ({ cache: make(), passes: [] as number[][], seed, forks: [] as number[] }));
      const go = async (talk: (typeof talks)[number], tokens: number): Promise<Float32Array> => {
        const ids = idsOf(talk.seed + 5 * talk.passes.length, tokens);
        talk.passes.push(ids);
        return toyForward(ids, { cache: talk.cache, attention: shared });
      };
      const outputs = new Map<object, Float32Array>();
      for (const talk of talks) outputs.set(talk, await go(talk, prompt));
      for (const { of, tokens, forks } of turns) {
        let talk = talks[of]!;
        if (forks) {
          const { passes, cache, seed } = talk;
          const at = [...talk.forks, passes.length];
          talks[of] = talk = { cache: make(cache.fork()), passes: [...passes], seed: seed + 20, forks: at };
        }
        outputs.set(talk, await go(talk, tokens));
      }
      for (const talk of outputs.keys() as Iterable<(typeof talks)[number]>) {
        const attention = hipModelAttention(OPTIONS);
        let cache = make();
        let output = new Float32Array();
        for (const [index, ids] of talk.passes.entries()) {
          if (talk.forks.includes(index)) cache = make(cache.fork());
          output = (await toyForward(ids, { cache, attention })) as Float32Array<ArrayBuffer>;
        }
        expect(outputs.get(talk)).toEqual(output);
      }
      for (const cache of made) cache.dispose();
    }),
    { numRuns: runs },
  );
}

describe.each(BACKENDS)('conversations on %s', (backend) => {
  let prepared: PreparedAttention;
  beforeAll(async () => {
    prepared = await useBackend(backend);
  });
  afterAll(() => prepared.close());

  it.each(['KvCache', 'hipModelCache'] as const)('a pass that fails at any layer changes nothing: %s', async (kind) => {
    await expect(failedPassChangesNothing(kind, 12)).resolves.toBeUndefined();
  });

  it('share one function, interleaved at random and forked, and say what each says alone', async () => {
    await expect(interleavedEqualAlone(12)).resolves.toBeUndefined();
  });

  it.each(['KvCache', 'hipModelCache'] as const)(
    'two of one function or with a cache of their own: in turns as one after the other: %s',
    async (kind) => {
      const shared = hipModelAttention(OPTIONS);
      const talk = async (both: readonly Conversation[], inTurns: boolean): Promise<Float32Array[]> => {
        const said = both.map(() => [] as Float32Array[]);
        const order = inTurns
          ? Array.from({ length: 24 }, (_, i) => i % 2)
          : Array.from({ length: 24 }, (_, i) => Math.floor(i / 12));
        for (const who of order) {
          const ids = idsOf(who, said[who]!.length === 0 ? 70 : 1);
          said[who]!.push(await toyForward(ids, { ...both[who]!, namesCache: false }));
        }
        for (const { cache } of both) cache[Symbol.dispose]();
        return said.flat();
      };
      const turns = await talk([start(kind, shared), start(kind, shared)], true);
      expect(turns).toEqual(await talk([start(kind), start(kind)], false));
    },
  );

  it('a cache whose tensors nobody knows searches every token', async () => {
    const searched: number[] = [];
    const attention = hipModelAttention({
      ...OPTIONS,
      config: { ...OPTIONS.config, denseLayers: LAYERS - 1 },
      onMask: ({ keys }) => searched.push(keys),
    });
    for (const [namesCache, expected] of [
      [false, [60, 61, 62, 63]],
      [true, [60, 61]],
    ] as const) {
      const cache = new ForeignCache();
      searched.length = 0;
      for (const tokens of [60, 1, 1, 1]) await toyForward(idsOf(1, tokens), { cache, attention, namesCache });
      expect(searched).toEqual(expected);
      cache.dispose();
    }
  });

  it('says the same in any chunks, where each row has a mask of its own', async () => {
    const options: ModelAttentionOptions = {
      ...OPTIONS,
      // No dense layer before one that searches: one row's sums have an order of their own, and a search turns a near tie into other keys.
      config: { ...OPTIONS.config, blockQ: 1, strideQ: 1, refreshInterval: 1, denseLayers: 0 },
    };
    const tokens = 90;
    const ids = idsOf(3, tokens);
    const whole = await inChunks([tokens], ids, options);
    const cuts = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 20 });
    await fc.assert(
      fc.asyncProperty(cuts, async (chunks) => {
        for (const output of await inChunks(chunks, ids, options)) expect(output).toBeAllclose(whole[0]!, TOLERANCE);
      }),
      { numRuns: 8 },
    );
  });

  it('refuse the next pass where a model does not take back the one that failed, or go on rightly', async () => {
    await fc.assert(
      fc.asyncProperty(failures, fc.constantFrom<Kind>('KvCache', 'hipModelCache'), async (failure, kind) => {
        const [tried, never] = [start(kind), start(kind)];
        using _ = tried.cache;
        using __ = never.cache;
        for (const one of [tried, never]) await toyForward(idsOf(0, 20), one);
        await expect(toyForward(idsOf(1, 3), { ...tried, failure, takesBack: false })).rejects.toThrow(Injected);
        const { length } = tried.cache;
        // A pass that fails once all layers have its tokens looks whole to a cache: only the model knows.
        if (length === 23) return;
        const next = toyForward(idsOf(2, 2), { ...tried, takesBack: false });
        const said = await next.catch((error: { code: string }) => error.code);
        const right = await toyForward(idsOf(2, 2), never);
        expect(['unsupported', right]).toContainEqual(said);
        tried.cache.truncate!(20);
        expect(await toyForward(idsOf(2, 2), tried)).toEqual(right);
      }),
      { numRuns: 20 },
    );
  });
});

/** Outputs [T, 32] of a text in chunks (the last one takes the rest), over a KvCache and over a hipModelCache. */
async function inChunks(
  chunks: readonly number[],
  ids: readonly number[],
  options: ModelAttentionOptions,
): Promise<Float32Array[]> {
  const own = hipModelCache(options);
  const plain = new KvCache();
  const outputs: Float32Array[] = [];
  for (const { cache, attention } of [
    { cache: plain, attention: hipModelAttention(options) },
    { cache: own, attention: own.attention },
  ]) {
    const rows: number[] = [];
    for (let at = 0, i = 0; at < ids.length; i++) {
      const part = ids.slice(at, at + (chunks[i] ?? ids.length));
      rows.push(...(await toyForward(part, { cache, attention })));
      at += part.length;
    }
    outputs.push(Float32Array.from(rows));
  }
  own.dispose();
  plain.dispose();
  return outputs;
}

describeGpu('conversations', (gpu) => {
  let prepared: PreparedAttention;
  beforeAll(async () => {
    // Installs navigator.gpu before tfjs looks for it.
    await gpu.adapter();
    await import('@tensorflow/tfjs-backend-webgpu');
    await tf.setBackend('webgpu');
    prepared = await prepareAttention();
  });
  afterAll(() => prepared.close());

  it('share one function, fail in between, and say what one says alone, the masks staying on the GPU', async () => {
    const prompt = 40;
    const shared = hipModelAttention(OPTIONS);
    const talks = [0, 1].map(() => start('KvCache', shared));
    const searched: number[] = [];
    const alone = start('hipModelCache', undefined, { ...OPTIONS, onMask: ({ keys }) => searched.push(keys) });
    // Its pages stay on the GPU, too, and one of the two has passes that fail.
    const tried = start('hipModelCache');
    const [first] = talks as [Conversation, Conversation];
    await toyForward(idsOf(7, prompt), talks[1]!);
    for (const [step, tokens] of [prompt, 1, 1, 1, 1, 1].entries()) {
      const said = await toyForward(idsOf(step, tokens), first);
      await toyForward(idsOf(step + 7, 1), talks[1]!);
      const failure = { layer: 1 + (step % 2), where: 'after' } as const;
      await expect(toyForward(idsOf(9, 1), { ...first, failure })).rejects.toThrow(Injected);
      const never = await toyForward(idsOf(step, tokens), alone);
      // One row's sums have an order of their own there.
      expect(never).toBeAllclose(said, { rtol: 1e-3, atol: 1e-4 });
      expect(await toyForward(idsOf(step, tokens), tried)).toEqual(never);
      for (const wrong of [1, 5])
        await expect(toyForward(idsOf(9, wrong), { ...tried, failure })).rejects.toThrow(Injected);
    }
    await vi.waitFor(() => expect(searched).toEqual([40, 40, 41, 41, 45, 45]));
    for (const { cache } of [...talks, alone, tried]) cache[Symbol.dispose]();
  });
});
