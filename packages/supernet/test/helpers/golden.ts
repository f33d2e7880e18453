// Golden cases: a tiny checkpoint and what transformers computed with it.
import * as tf from '@tensorflow/tfjs';
import { missingShared, sharedPath } from '@hip/testing';
import {
  fileSource,
  memoryFiles,
  openSafetensors,
  writeSafetensors,
  type CheckpointFiles,
  type TensorToWrite,
} from '@hip/checkpoints';
import type { ModelInputs } from '../../src/model/types.ts';

/** Every golden of the shared folder. */
export const GOLDENS = ['llama-gqa', 'llama3-rope', 'qwen2', 'gpt2', 'bert-mlm', 'bert-seqcls', 'vit'] as const;

/** Further ones, of families that share their arithmetic with those. */
export const RELATED_GOLDENS = ['mistral', 'phi3', 'qwen3-yarn'] as const;

/** Encoders of their own arithmetic. */
export const ENCODER_GOLDENS = ['distilbert-seqcls', 'modernbert-mlm', 'deberta-v2-seqcls'] as const;

export interface Golden {
  readonly inputs: ModelInputs;
  readonly logits: Float32Array;
  readonly hiddenStates: readonly Float32Array[];
}

/** For the names of suites that need them: empty, or that they are skipped and why. */
export const missingGolden = missingShared('goldens');

export function goldenPath(name: string): string | undefined {
  return sharedPath('goldens', name);
}

export async function loadGolden(folder: string, name = 'golden.safetensors'): Promise<Golden> {
  const file = await openSafetensors(await fileSource(`${folder}/${name}`));
  const inputs: Record<string, tf.Tensor> = {};
  const hidden: Float32Array[] = [];
  const names: Record<string, string> = {
    'in.input_ids': 'inputIds',
    'in.attention_mask': 'attentionMask',
    'in.token_type_ids': 'tokenTypeIds',
    'in.pixel_values': 'pixelValues',
  };
  for (const name of file.tensors.keys()) {
    const { data, shape } = await file.read(name);
    const input = names[name];
    if (input) inputs[input] = tf.tensor(data, [...shape], data instanceof Int32Array ? 'int32' : 'float32');
    const state = /^out\.hidden_states\.(\d+)$/.exec(name)?.[1];
    if (state) hidden[Number(state)] = data as Float32Array;
  }
  const logits = (await file.read('out.logits')).data as Float32Array;
  await file.close();
  return { inputs: inputs as ModelInputs, logits, hiddenStates: hidden };
}

/** A checkpoint in memory. */
export function checkpointFiles(config: object, tensors: readonly TensorToWrite[]): CheckpointFiles {
  return memoryFiles(
    new Map([
      ['config.json', new TextEncoder().encode(JSON.stringify(config))],
      ['model.safetensors', writeSafetensors(tensors)],
    ]),
  );
}
