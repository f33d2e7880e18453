// csv-parse, of which there are two: one on the streams of Node, and one for browsers that brings its own.
import type { parse as parseInBrowsers } from 'csv-parse/browser/esm';
import { importPackage } from '../node-modules.ts';

/** The one for browsers runs everywhere but where objects have no `__proto__` (Deno; Node with `--disable-proto`): its buffers set theirs. */
export async function csvParser(): Promise<typeof parseInBrowsers> {
  if ('__proto__' in Object.prototype) return (await import('csv-parse/browser/esm')).parse;
  return ((await importPackage('csv-parse')) as { readonly parse: typeof parseInBrowsers }).parse;
}
