// Tokens a second of a whole model that goes on writing after a long text: each cache and attention a user can choose on wasm.
import { join } from 'node:path';
import { readFileSync } from 'node:fs';
import * as tf from '@tensorflow/tfjs';
import {
  denseModelAttention,
  hipModelAttention,
  hipModelCache,
  KvCache,
  prepareAttention,
  type KeysAndValues,
  type ModelAttention,
} from '@hip/attention';
import { sharedPath } from '@hip/testing';
import {
  ConcatKeyValueCache,
  loadCheckpoint,
  prefill,
  type ElasticModel,
  type KeyValueCache,
} from '@instatune/supernet';
import { interleave, median, type Benchmark } from './benchmark.ts';
import { startTfjs } from './instatune/backend.ts';

const MODEL = 'books-lm-14m';
const BOOK = 'leo-tolstoy_war-and-peace_louise-maude_aylmer-maude.txt';
const LENGTHS = [1024, 4096, 8192, 32768];
/** Tokens of one timed run: as many as the shortest refresh of a mask, so that each run has a search. */
const TOKENS = 8;
const CHUNK = 4096;

/** A cache, and the attention over it; none is the model's own. */
interface Candidate {
  readonly cache: KeyValueCache;
  readonly attention?: ModelAttention;
}

const CANDIDATES: Readonly<Record<string, () => Candidate>> = {
  "tfjs: the model's own": () => ({ cache: new ConcatKeyValueCache() }),
  'dense, KvCache': () => ({ cache: new KvCache(), attention: denseModelAttention() }),
  'HiP, KvCache': () => ({ cache: new KvCache(), attention: hipModelAttention() }),
  'dense, in place': () => inPlace({ dense: 'always' }),
  'HiP, in place': () => inPlace({}),
  'HiP, in place, f16': () => inPlace({ type: 'f16' }),
};

function inPlace(options: Parameters<typeof hipModelCache>[0]): Candidate {
  const cache = hipModelCache(options);
  return { cache, attention: cache.attention };
}

export const benchmark: Benchmark = {
  name: 'model-decode',
  description: 'milliseconds a decoded token of a whole model after a long context, by cache and attention, on wasm',
  async run({ quick, log, signal }) {
    const shared = sharedPath('models', MODEL);
    if (!shared) throw new Error('needs ../shared: set SHARED_DIR');
    const environment = await startTfjs('wasm');
    const prepared = await prepareAttention();
    const { model, tokenizer } = await loadCheckpoint(shared);
    const lengths = quick ? LENGTHS.slice(0, 2) : LENGTHS;
    const text = readFileSync(join(sharedPath('data', 'books')!, BOOK), 'utf8').slice(0, 6 * Math.max(...lengths));
    const ids = Int32Array.from(tokenizer!.encode(text));
    const rows: Record<string, unknown>[] = [];
    const filled = new KvCache();
    for (const length of lengths) {
      signal.throwIfAborted();
      const layers = await fill(model, filled, ids.subarray(filled.length, length));
      const candidates = Object.fromEntries(
        Object.entries(CANDIDATES).map(([name, make]) => [name, copyOf(model, layers, make())]),
      );
      const bytes = new Map(Object.entries(candidates).map(([name, { cache }]) => [name, bytesOf(model, cache)]));
      const times = await interleave(
        Object.fromEntries(
          Object.entries(candidates).map(([name, candidate]) => [name, () => write(model, candidate, ids)]),
        ),
        { repeats: quick ? 2 : 7 },
      );
      const own = median(times["tfjs: the model's own"]!) / TOKENS;
      for (const [name, list] of Object.entries(times)) {
        const ms = median(list) / TOKENS;
        rows.push({
          model: MODEL,
          context: length,
          decode: name,
          msPerToken: Number(ms.toFixed(2)),
          tokensPerSecond: Number((1000 / ms).toFixed(1)),
          againstTfjs: Number((own / ms).toFixed(2)),
          slowestMsPerToken: Number((Math.max(...list) / TOKENS).toFixed(2)),
          cacheBytes: bytes.get(name),
        });
        log(`${length} tokens, ${name}: ${ms.toFixed(1)} ms a token`);
      }
      for (const { cache } of Object.values(candidates)) cache.dispose();
      tf.dispose(layers.map(({ k, v }) => [k, v]));
    }
    filled.dispose();
    model.dispose();
    const { threads } = prepared.cpu!;
    prepared.close();
    return { rows, environment: { ...environment, attentionThreads: threads, timed: `${TOKENS} tokens a run` } };
  },
};

/** Runs tokens through the model into the cache, with HiP. @returns the keys and values of every layer */
async function fill(model: ElasticModel, cache: KvCache, ids: Int32Array): Promise<KeysAndValues[]> {
  const layers: KeysAndValues[] = [];
  const hip = hipModelAttention();
  const attention: ModelAttention = (q, k, v, context) => {
    tf.dispose(Object.values(layers[context.layer] ?? {}));
    layers[context.layer] = { k: tf.keep(k.clone()), v: tf.keep(v.clone()) };
    return hip(q, k, v, context);
  };
  const last = await prefill(model, ids, cache, { attention, chunkTokens: CHUNK });
  last.dispose();
  return layers;
}

/** Fills a candidate's cache with keys and values that are there already. */
function copyOf({ config }: ElasticModel, layers: readonly KeysAndValues[], candidate: Candidate): Candidate {
  for (const [layer, { k, v }] of layers.entries()) {
    tf.tidy(() => {
      const held = candidate.cache.append(layer, k, v);
      // A cache that its attention fills wants to be asked, if only by one query.
      const q = tf.zeros<tf.Rank.R4>([1, 1, config.heads, config.headSize]);
      candidate.attention?.(q, held.k, held.v, { layer, causal: true, scale: config.attentionScale });
    });
  }
  return candidate;
}

/** Some tokens, one after another. */
async function write(model: ElasticModel, { cache, attention }: Candidate, ids: Int32Array): Promise<void> {
  for (let i = 0; i < TOKENS; i++) {
    const logits = tf.tidy(
      () =>
        model.forward(
          { inputIds: tf.tensor2d([ids[cache.length]!], [1, 1], 'int32') },
          { cache, logits: 'last', ...(attention && { attention }) },
        ).logits,
    );
    await logits.data();
    logits.dispose();
  }
}

function bytesOf({ config }: ElasticModel, cache: KeyValueCache): number {
  if ('bytes' in cache) return cache.bytes as number;
  return cache.length * config.layers * config.kvHeads * config.headSize * 8;
}
