// A report is shown to others: of a file it says the name, not where it lies on this machine.
import { posix, win32 } from 'node:path';
import type { DemoResult } from '../pipeline/result.ts';

/** A result whose settings name files without their folders. Texts that were read or written stay as they are. */
export function withoutFolders(result: DemoResult): DemoResult {
  return { ...result, environment: clean(result.environment) as DemoResult['environment'] };
}

function clean(value: unknown): unknown {
  if (typeof value === 'string') return nameOf(value);
  if (Array.isArray(value)) return value.map(clean);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, clean(inner)]));
}

/** The last part of an absolute path, of either kind of system; other text as it is. Several with ", " between: each. */
function nameOf(text: string): string {
  return text
    .split(', ')
    .map((part) => (posix.isAbsolute(part) || /^([A-Za-z]:[\\/]|\\\\)/.test(part) ? win32.basename(part) : part))
    .join(', ');
}
