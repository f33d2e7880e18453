// How sequences of an engine lie in memory and attend, as text: saved ones go on where it is equal.
import type { ResolvedOptions } from './options.ts';
import type { Backend } from './types.ts';

/** Number of the form in which sequences are saved; another one is not read. */
const FORM = 2;

/** @param more - what else decides it on a backend */
export function layoutOf(
  backend: Backend,
  { cache, attention }: Pick<ResolvedOptions, 'cache' | 'attention'>,
  more: Readonly<Record<string, unknown>> = {},
): string {
  const { config = 'dense', denseBelow } = attention;
  return JSON.stringify({ form: FORM, backend, cache, config, denseBelow, ...more }, (_, value: unknown) =>
    typeof value === 'number' && !Number.isFinite(value) ? String(value) : value,
  );
}
