// One job of the quality benchmark, in a worker thread: a model over one window of a book, or over one window of pass keys.
import { readFileSync } from 'node:fs';
import * as tf from '@tensorflow/tfjs';
import { prepareAttention } from '@hip/attention';
import { loadCheckpoint, prefill, tokenLosses, type AttentionFunction, type Checkpoint } from '@instatune/supernet';
import { startTfjs } from '../instatune/backend.ts';
import { attentionOf, denseLayersOf, type Method } from './methods.ts';
import { passKeyWindow } from './pass-keys.ts';
import { PrefixCache } from './prefix-cache.ts';
import { SharedLayers } from './shared-layers.ts';
import { windowOf, type Job, type JobResult } from './window.ts';

const CHUNK = 4096;
const CHUNK_OPTIONS = { chunkTokens: CHUNK, logitRows: 2048 };

interface Loaded {
  readonly checkpoint: Checkpoint;
  readonly ids: number[];
}

let current: { readonly key: string; readonly loaded: Promise<Loaded> } | undefined;
let started: Promise<void> | undefined;
const shared = new SharedLayers();
let currentWindow = '';

async function start({ threads, wasmPath, backend }: Job): Promise<void> {
  await startTfjs(backend, wasmPath);
  await prepareAttention({ threads, matmul: true });
}

async function load({ model, book }: Job): Promise<Loaded> {
  const checkpoint = await loadCheckpoint(model);
  return { checkpoint, ids: checkpoint.tokenizer!.encode(readFileSync(book, 'utf8'), { addSpecialTokens: false }) };
}

/** Runs a job; the model and the book of the last one are kept, and what the methods of a window have in common. */
export async function runJob(job: Job): Promise<JobResult> {
  await (started ??= start(job));
  const key = `${job.model}\n${job.book}`;
  if (current?.key !== key) {
    (await current?.loaded)?.checkpoint.model.dispose();
    current = { key, loaded: load(job) };
  }
  const loaded = await current.loaded;
  if (currentWindow !== windowOf(job)) shared.dispose();
  currentWindow = windowOf(job);
  const begin = performance.now();
  const lengths = await (job.kind === 'loss' ? losses(job, loaded) : passKeys(job, loaded));
  return { lengths, seconds: (performance.now() - begin) / 1000 };
}

function attentionFor(method: Method, pass: string): AttentionFunction {
  return shared.wrap(attentionOf(method), denseLayersOf(method), pass);
}

/** A causal prefill of T tokens is the beginning of a longer one: one pass gives the loss at every length. */
async function losses({ method, lengths, index }: Job, { checkpoint, ids }: Loaded): Promise<JobResult['lengths']> {
  const longest = lengths.at(-1)!;
  const window = ids.slice(index * longest, (index + 1) * longest);
  const values = await tokenLosses(checkpoint.model, window, {
    ...CHUNK_OPTIONS,
    attention: attentionFor(method, 'text'),
  });
  return lengths.map((tokens) => ({
    tokens,
    loss: values.subarray(0, tokens - 1).reduce((sum, value) => sum + value, 0),
    targets: tokens - 1,
  }));
}

async function passKeys(
  { method, lengths, index, perLength }: Job,
  { checkpoint, ids }: Loaded,
): Promise<JobResult['lengths']> {
  const { model, tokenizer } = checkpoint;
  const window = passKeyWindow(ids, tokenizer!, { lengths, perLength, seed: index });
  const base = new PrefixCache();
  try {
    const contexts = window.rounds.map(({ context }) => context);
    const last = await prefill(model, window.ids.subarray(0, contexts.at(-1)), base, {
      ...CHUNK_OPTIONS,
      attention: attentionFor(method, 'context'),
    });
    last.dispose();
    const results: JobResult['lengths'][number][] = [];
    for (const { tokens, context, questions } of window.rounds) {
      const cache = new PrefixCache(base, context);
      const asked = questions.flatMap((question) => question.ids);
      const guesses = new Int32Array(asked.length);
      try {
        const end = await prefill(
          model,
          asked,
          cache,
          { ...CHUNK_OPTIONS, attention: attentionFor(method, `questions ${tokens}`) },
          async ({ start: first, logits }) => {
            const best = tf.tidy(() => tf.argMax(logits, 1));
            guesses.set(await best.data(), first);
            best.dispose();
          },
        );
        end.dispose();
      } finally {
        cache.dispose();
      }
      let exact = 0;
      let digits = 0;
      let at = 0;
      for (const { ids: own, digits: first } of questions) {
        let right = 0;
        for (let i = first; i < own.length; i++) if (guesses[at + i - 1] === own[i]) right++;
        digits += right;
        if (right === own.length - first) exact++;
        at += own.length;
      }
      results.push({ tokens, exact, digits, questions: questions.length });
    }
    return results;
  } finally {
    base.dispose();
  }
}
