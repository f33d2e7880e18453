// The family that a model is of, among those that are known.
import { families as builtinFamilies, type Family, type ModelConfig } from '@hip/checkpoints';
import { SupernetError } from '../errors.ts';

/** @throws SupernetError `unsupported-model` for a family that is not given */
export function familyOf({ family }: ModelConfig, families: readonly Family[] = builtinFamilies): Family {
  const found = families.find(({ name }) => name === family);
  if (found) return found;
  const message = `no family ${family}: pass it in options.families`;
  throw new SupernetError('unsupported-model', message, { family });
}
