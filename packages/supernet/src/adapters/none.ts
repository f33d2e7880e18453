// What works on all of a model's weights, and so on none with adapters beside them.
import { SupernetError } from '../errors.ts';
import type { ElasticModel } from '../model/types.ts';

/** @throws SupernetError `invalid-option` for a model with adapters, saying what to do instead */
export function requireNoAdapters({ adapters, family }: ElasticModel, what: string): void {
  if (!adapters) return;
  const message = `${what} is not for a model with adapters: give their base before addAdapters, or what extractModel makes of both`;
  throw new SupernetError('invalid-option', message, { family });
}
