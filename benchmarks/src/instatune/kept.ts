// Trainings that are kept between runs: a study that was stopped goes on after the last one that ended.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import type { FloatDtype } from '@hip/checkpoints';
import { loadCheckpoint, saveCheckpoint, type ElasticModel } from '@instatune/supernet';

/** How a training went. */
export interface Trained {
  readonly secondsPerStep: number;
  readonly seconds: number;
  readonly loss: number;
  /** Steps that were done. */
  readonly steps: number;
}

/** Where trainings are kept, and how precisely. */
export interface KeptOptions {
  readonly folder: string;
  /** @defaultValue 'F32', from which a study goes on as if it had not been stopped */
  readonly dtype?: FloatDtype;
}

/** Trains, or takes what an earlier run of the same training left. `key` tells trainings apart. */
export async function trainedOrKept(
  model: ElasticModel,
  key: string,
  options: KeptOptions,
  train: () => Promise<Trained>,
): Promise<Trained> {
  const folder = join(options.folder, key.replace(/[^\w.-]+/g, '_'));
  const note = join(folder, 'trained.json');
  if (existsSync(note)) {
    const kept = (await loadCheckpoint(folder)).model;
    for (const [name, variable] of model.weights) variable.assign(kept.weights.get(name) as tf.Tensor);
    kept.dispose();
    return JSON.parse(readFileSync(note, 'utf8')) as Trained;
  }
  const trained = await train();
  mkdirSync(folder, { recursive: true });
  await saveCheckpoint(model, folder, { dtype: options.dtype ?? 'F32' });
  // Last: what has no note is trained again.
  writeFileSync(note, JSON.stringify(trained));
  return trained;
}
