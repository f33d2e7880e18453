// Every family this package knows, and the choice of one by model_type.
import { CheckpointError } from '../errors.ts';
import { quoted } from '../quote.ts';
import { beit3 } from './beit3.ts';
import { bert } from './bert.ts';
import { debertaV2 } from './deberta-v2.ts';
import { distilbert } from './distilbert.ts';
import type { Family } from './family.ts';
import { gemma, gemma2, gemma3 } from './gemma.ts';
import { gpt2 } from './gpt2.ts';
import { granite } from './granite.ts';
import { mistral } from './mistral.ts';
import { modernbert } from './modernbert.ts';
import { olmo2 } from './olmo2.ts';
import { phi3 } from './phi3.ts';
import { smollm3 } from './smollm3.ts';
import type { RawConfig } from './hf-config.ts';
import { llama } from './llama.ts';
import { qwen2, qwen3 } from './qwen.ts';
import { roberta } from './roberta.ts';
import { deit, vit } from './vit.ts';

/** Built-in families. */
export const families: readonly Family[] = [
  llama,
  mistral,
  qwen2,
  qwen3,
  smollm3,
  gemma,
  gemma2,
  gemma3,
  phi3,
  granite,
  olmo2,
  gpt2,
  bert,
  roberta,
  distilbert,
  modernbert,
  debertaV2,
  vit,
  deit,
  beit3,
];

/** The family of a config.json. @throws CheckpointError `unsupported-model`. */
export function findFamily(raw: RawConfig, known: readonly Family[] = families): Family {
  const type = raw['model_type'];
  const family = known.find(({ modelTypes }) => typeof type === 'string' && modelTypes.includes(type));
  if (!family) {
    const types = known.flatMap(({ modelTypes }) => modelTypes).join(', ');
    throw new CheckpointError('unsupported-model', `model_type ${quoted(type)} is not supported (known: ${types})`, {
      modelType: type,
    });
  }
  return family;
}
