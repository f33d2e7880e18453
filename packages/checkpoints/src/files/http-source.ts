// A file behind HTTP(S) with random access: blocks of one version of it.
import { CheckpointError } from '../errors.ts';
import { requireRange } from './access.ts';
import { attempts } from './attempts.ts';
import type { HttpSourceOptions } from './attempts.ts';
import { BLOCK_BYTES, blockReader } from './block-source.ts';
import { memorySource } from './byte-source.ts';
import type { ByteSource } from './byte-source.ts';
import { isPage } from './page.ts';
import { RemoteFile } from './remote-range.ts';
import { requireAnswer, transfer } from './transfer.ts';

export type { HttpSourceOptions } from './attempts.ts';

/**
 * A file behind HTTP(S), read by range requests of blocks, so that only the parts that are used travel; whole where the server has no
 * ranges. What may pass (429, 5xx, a cut connection) is tried again twice, a cut part goes on where it broke. All parts are of one version
 * of the file: length and ETag (else Last-Modified) of every answer are those of the first.
 *
 * @throws CheckpointError `file-not-found` (404, 410, a web page in place of the file), `network`, `aborted`
 */
export async function httpSource(url: string, options: HttpSourceOptions = {}): Promise<ByteSource> {
  const file = new RemoteFile(url, options);
  const first = await file.part(0, BLOCK_BYTES);
  if (looksLikePage(first.response.headers.get('content-type'), first.bytes)) {
    const message = `${url} is not there: the server answered with a web page`;
    throw new CheckpointError('file-not-found', message, { url, status: first.response.status });
  }
  const { total: size } = first;
  if (first.bytes.byteLength === size) return memorySource(first.bytes, url);
  let whole: Uint8Array<ArrayBuffer> | undefined;
  const readBytes = async (from: number, to: number): Promise<Uint8Array<ArrayBuffer>> => {
    if (whole) return whole.slice(from, to);
    const { bytes, isWhole } = await file.part(from, to);
    if (isWhole) whole = bytes;
    return isWhole ? bytes.slice(from, to) : bytes;
  };
  const { read, close } = blockReader(size, readBytes, first.bytes);
  return {
    name: url,
    size,
    read: async (offset, length) => {
      requireRange(url, size, offset, length);
      return read(offset, length);
    },
    close,
  };
}

/**
 * One GET with typed errors, tried again as {@link httpSource} does; 416 is the caller's.
 *
 * @deprecated Nothing here needs it any more: use `fetch`, or {@link httpSource}.
 * @throws CheckpointError `file-not-found` on 404 and 410, `network`, `aborted`
 */
export async function request(
  url: string,
  options: HttpSourceOptions,
  headers: Readonly<Record<string, string>> = {},
): Promise<Response> {
  return attempts(url, options, async () => {
    const answer = await transfer(url, options, headers);
    if (answer.response.status !== 416) requireAnswer(answer, url);
    return answer.response;
  });
}

/** Whether bytes that are meant to be weights are a page: single-page servers answer with one for every name. */
function looksLikePage(type: string | null, bytes: Uint8Array): boolean {
  return /^text\/html\b/i.test(type ?? '') && isPage(new TextDecoder().decode(bytes.subarray(0, 1000)));
}
