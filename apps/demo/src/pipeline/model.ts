// Loads the pretrained checkpoint and checks the logits of a fixed prompt against the committed expectation.
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as tf from '@tensorflow/tfjs';
import {
  loadCheckpoint,
  SupernetError,
  type Checkpoint,
  type ElasticModel,
  type TextTokenizer,
} from '@instatune/supernet';
import * as v from 'valibot';
import { DemoError } from './errors.ts';

/** The committed checkpoint: books-lm-6m. */
export const DEFAULT_MODEL = resolve(dirname(fileURLToPath(import.meta.url)), '../../model');

const expectationSchema = v.object({
  prompt: v.string(),
  ids: v.array(v.number()),
  logits: v.array(v.object({ id: v.number(), logit: v.number() })),
  tolerance: v.number(),
});

export interface LoadedModel {
  readonly model: ElasticModel;
  readonly tokenizer: TextTokenizer;
  readonly checkpoint: Checkpoint;
}

/** @throws DemoError `missing-file`, `corrupt-checkpoint` */
export async function loadModel(folder: string): Promise<LoadedModel> {
  if (!existsSync(join(folder, 'config.json'))) {
    throw new DemoError(
      'missing-file',
      `"${folder}" holds no config.json: give --model the folder of a Hugging Face checkpoint`,
    );
  }
  let checkpoint: Checkpoint;
  try {
    checkpoint = await loadCheckpoint(folder);
  } catch (cause) {
    if (cause instanceof SupernetError)
      throw new DemoError('corrupt-checkpoint', `the checkpoint in "${folder}" cannot be used: ${cause.message}`, {
        cause,
      });
    throw cause;
  }
  const { model, tokenizer } = checkpoint;
  if (!tokenizer)
    throw new DemoError('missing-file', `"${folder}" holds no tokenizer.json: copy the checkpoint's tokenizer into it`);
  if (model.config.head !== 'causal-lm') {
    throw new DemoError(
      'corrupt-checkpoint',
      `"${folder}" is a ${model.family} model for ${model.config.head}: the demo needs a causal language model`,
    );
  }
  return { model, tokenizer, checkpoint };
}

/**
 * Compares the last token's logits of a fixed prompt with `expected-logits.json` beside the checkpoint.
 *
 * @returns the largest difference, or undefined where the checkpoint has no expectation
 * @throws DemoError `unexpected-logits`
 */
export async function checkLogits({ model, tokenizer }: LoadedModel, folder: string): Promise<number | undefined> {
  const path = join(folder, 'expected-logits.json');
  if (!existsSync(path)) return undefined;
  const expected = v.parse(expectationSchema, JSON.parse(readFileSync(path, 'utf8')));
  const ids = tokenizer.encode(expected.prompt);
  if (ids.join() !== expected.ids.join()) {
    throw new DemoError(
      'unexpected-logits',
      `the tokenizer in "${folder}" splits the check prompt differently than expected: fetch the checkpoint again`,
    );
  }
  const logits = tf.tidy(() =>
    model.forward({ inputIds: tf.tensor2d([ids], undefined, 'int32') }, { logits: 'last' }).logits.as1D(),
  );
  const values = await logits.data();
  logits.dispose();
  const difference = Math.max(...expected.logits.map(({ id, logit }) => Math.abs((values[id] ?? NaN) - logit)));
  if (!(difference <= expected.tolerance)) {
    throw new DemoError(
      'unexpected-logits',
      `logits of the check prompt differ by ${difference} (tolerance ${expected.tolerance}): the checkpoint in "${folder}" or this backend is broken`,
    );
  }
  return difference;
}
