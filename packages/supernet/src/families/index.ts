// Every family this package knows, and the choice of one by model_type.
import { SupernetError } from '../errors.ts';
import type { Family } from './family.ts';
import type { RawConfig } from './hf-config.ts';
import { llama } from './llama.ts';
import { qwen2, qwen3 } from './qwen.ts';

/** Built-in families. */
export const families: readonly Family[] = [llama, qwen2, qwen3];

/** The family of a config.json. @throws SupernetError `unsupported-model`. */
export function findFamily(raw: RawConfig, known: readonly Family[] = families): Family {
  const type = raw['model_type'];
  const family = known.find(({ modelTypes }) => typeof type === 'string' && modelTypes.includes(type));
  if (!family) {
    const types = known.flatMap(({ modelTypes }) => modelTypes).join(', ');
    throw new SupernetError(
      'unsupported-model',
      `model_type ${JSON.stringify(type)} is not supported (known: ${types})`,
      {
        modelType: type,
      },
    );
  }
  return family;
}
