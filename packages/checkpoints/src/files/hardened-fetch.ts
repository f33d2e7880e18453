// fetch for libraries that read files by it: parts of one version, tried again and gone on with as everywhere here.
import type { HttpSourceOptions } from './attempts.ts';
import { attempts } from './attempts.ts';
import { PassedOn, RemoteFile } from './remote-range.ts';
import { MAX_TEXT_BYTES, collect } from './remote-text.ts';
import { transfer } from './transfer.ts';
import type { Transfer } from './transfer.ts';

/** A fetch, and how many bytes an answer to a request without a range may have from now on. */
export interface HardenedFetch {
  readonly fetch: typeof fetch;
  limit(bytes: number): void;
}

/**
 * A fetch whose answers are complete: a GET with a simple range is answered by {@link RemoteFile} (a server without ranges by a cut of the
 * whole), any other GET is read whole. Statuses that say no are the caller's.
 */
export function hardenedFetch(options: HttpSourceOptions): HardenedFetch {
  const files = new Map<string, RemoteFile>();
  let most = options.maxTextBytes ?? MAX_TEXT_BYTES;
  const whole = async ({ response, chunks }: Transfer, url: string): Promise<Response> =>
    answer(await collect(chunks(), most, url), response, response.status);
  const hardened: typeof fetch = async (input, init) => {
    const url = input instanceof Request ? input.url : input.toString();
    const headers = Object.fromEntries(new Headers(init?.headers));
    if ((init?.method ?? 'GET') !== 'GET' || input instanceof Request) return (options.fetch ?? fetch)(input, init);
    const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(headers['range'] ?? '') ?? [];
    if (first === undefined || last === undefined) {
      return attempts(url, options, async () => whole(await transfer(url, options, headers), url));
    }
    const { range: _, ...rest } = headers;
    const file = files.get(url) ?? new RemoteFile(url, options, isForCaller);
    files.set(url, file);
    try {
      const [from, to] = [Number(first), Number(last) + 1];
      const { bytes, total, isWhole, response } = await file.part(from, to, rest);
      const part = isWhole ? bytes.slice(from, to) : bytes;
      // Mirrors may have no ETag, which the Hub's library insists on.
      const etag = response.headers.get('etag') ?? `W/"${total}"`;
      const range = `bytes ${from}-${from + part.byteLength - 1}/${total}`;
      return answer(part, response, 206, { 'content-range': range, etag });
    } catch (error) {
      if (!(error instanceof PassedOn)) throw error;
      return whole(error.answer, url);
    }
  };
  return { fetch: hardened, limit: (bytes) => (most = Math.max(bytes, 2 ** 16)) };
}

/** Statuses that say no, and descriptions of files that the Hub sends in their place. */
function isForCaller(response: Response): boolean {
  return response.status >= 400 || (response.headers.get('content-type') ?? '').includes('xet-fileinfo');
}

/** An answer with a body that is there already. */
function answer(
  bytes: Uint8Array<ArrayBuffer>,
  { headers, url }: Response,
  status: number,
  more: Readonly<Record<string, string>> = {},
): Response {
  const own = new Headers(headers);
  // The body is unpacked.
  for (const name of ['content-encoding', 'content-length']) own.delete(name);
  for (const [name, value] of Object.entries(more)) own.set(name, value);
  const response = new Response(status === 204 || status === 304 ? null : bytes, { status, headers: own });
  return Object.defineProperty(response, 'url', { value: url });
}
