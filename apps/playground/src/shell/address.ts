// Files of the site: the bundled model, the book, what libraries load by themselves.
import { PlaygroundError } from '../rpc/protocol.ts';

/** Address of a file below the playground's root, from one of its pages. */
export const address = (path: string): string => new URL(`../${path}`, document.baseURI).href;

/** @throws PlaygroundError `network` */
export async function bundledBook(): Promise<{ readonly name: string; readonly content: string }> {
  const response = await fetch(address('texts/moby-dick.txt')).catch(() => undefined);
  if (!response?.ok)
    throw new PlaygroundError('network', 'the book cannot be fetched: try again, or drop a text of yours');
  return { name: 'Moby-Dick, the first chapters', content: await response.text() };
}
