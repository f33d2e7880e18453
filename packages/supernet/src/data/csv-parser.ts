// csv-parse, of which there are two: one on the streams of Node, and one for browsers that brings its own.
import type { parse as parseInBrowsers } from 'csv-parse/browser/esm';
import { importPackage } from '../node-modules.ts';

/** Whether assigning to `__proto__` sets an object's prototype: not so in Deno, nor in Node with `--disable-proto`. */
function setsPrototypes(): boolean {
  const probe: { __proto__?: object } = {};
  probe.__proto__ = Array.prototype;
  return Object.getPrototypeOf(probe) === Array.prototype;
}

/** The one for browsers wherever it runs; its buffers set their `__proto__`. */
export async function csvParser(): Promise<typeof parseInBrowsers> {
  if (setsPrototypes()) return (await import('csv-parse/browser/esm')).parse;
  return ((await importPackage('csv-parse')) as { readonly parse: typeof parseInBrowsers }).parse;
}
