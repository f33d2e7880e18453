// Parts of one version of a remote file: every answer is compared with the first, a cut part goes on where it broke.
import { CheckpointError } from '../errors.ts';
import { Interrupted, attempts } from './attempts.ts';
import type { HttpSourceOptions } from './attempts.ts';
import { collect } from './remote-text.ts';
import { contentRange, requireAnswer, transfer } from './transfer.ts';
import type { Transfer } from './transfer.ts';

/** A part of a file, or all of it where the server sends nothing less. */
export interface Part {
  /** Bytes of the file. */
  readonly total: number;
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly isWhole: boolean;
  /** The answer's, for those who look at more of it. */
  readonly response: Response;
}

/** What tells one version of a file from another. */
interface Version {
  readonly total: number | undefined;
  readonly tag: string | null;
}

/** Thrown with an answer that is not for {@link RemoteFile} to judge. */
export class PassedOn extends Error {
  readonly answer: Transfer;

  constructor(answer: Transfer) {
    super('an answer for the caller');
    this.answer = answer;
  }
}

/** Reads parts of the file at one address; all of them are of one version. */
export class RemoteFile {
  readonly #url: string;
  readonly #options: HttpSourceOptions;
  readonly #passes: ((response: Response) => boolean) | undefined;
  #version: Version | undefined;

  /** @param passes - answers that are thrown as {@link PassedOn} */
  constructor(url: string, options: HttpSourceOptions, passes?: (response: Response) => boolean) {
    this.#url = url;
    this.#options = options;
    this.#passes = passes;
  }

  /**
   * Bytes `from` … `to` − 1, fewer where the file ends before.
   *
   * @param headers - further ones of the request
   * @throws CheckpointError `file-not-found`, `network` (another version than before, too many bytes, …), `aborted`
   */
  async part(from: number, to: number, headers: Readonly<Record<string, string>> = {}): Promise<Part> {
    const url = this.#url;
    let bytes: Uint8Array<ArrayBuffer> | undefined;
    let done = 0;
    return attempts(url, this.#options, async () => {
      for (;;) {
        const range = `bytes=${from + done}-${to - 1}`;
        const answer = await transfer(url, this.#options, { ...headers, Range: range });
        const { response } = answer;
        if (this.#passes?.(response)) throw new PassedOn(answer);
        if (response.status === 416 && /^bytes \*\/0$/.test(response.headers.get('content-range') ?? '')) {
          answer.cancel();
          return { total: 0, bytes: new Uint8Array(0), isWhole: true, response };
        }
        requireAnswer(answer, url);
        if (response.status !== 206) return { ...(await this.#whole(answer)), response };
        const given = contentRange(response);
        const { first, last, total } = this.#checked(answer, given, from + done, to);
        bytes ??= new Uint8Array(Math.min(total, to) - from);
        if (last >= Math.min(total, to))
          throw this.#refused(answer, `sent bytes to ${last}, asked for those to ${to - 1}`);
        for await (const chunk of answer.chunks()) {
          if (done + chunk.byteLength > last + 1 - from) {
            throw this.#refused(answer, `sent more than the bytes ${first}-${last} that it announced`);
          }
          bytes.set(chunk, done);
          done += chunk.byteLength;
        }
        if (done !== last + 1 - from) {
          const message = `${url}: the bytes ${first}-${last} ended after ${done - (first - from)}`;
          throw new Interrupted(new CheckpointError('network', message, { url, received: done }));
        }
        // A server may send less than it was asked for; the rest is asked for anew.
        if (done === bytes.byteLength) return { total, bytes, isWhole: false, response };
      }
    });
  }

  /** A server without ranges: the whole file. */
  async #whole(answer: Transfer): Promise<Omit<Part, 'response'>> {
    this.#compare(answer, { total: undefined, tag: tagOf(answer.response) });
    const bytes = await collect(answer.chunks(), this.#version?.total ?? Infinity, this.#url);
    this.#compare(answer, { total: bytes.byteLength, tag: tagOf(answer.response) });
    return { total: bytes.byteLength, bytes, isWhole: true };
  }

  #checked(answer: Transfer, given: ReturnType<typeof contentRange>, from: number, to: number) {
    const { response } = answer;
    if (!given || given.total === undefined || !Number.isSafeInteger(given.total) || given.last < given.first) {
      const value = response.headers.get('content-range');
      throw this.#refused(answer, `sent no usable Content-Range (${value?.slice(0, 200)})`);
    }
    this.#compare(answer, { total: given.total, tag: tagOf(response) });
    if (given.first === from) return { ...given, total: given.total };
    answer.cancel();
    const message = `${this.#url} answered with bytes ${given.first}-${given.last}, asked for ${from}-${to - 1}`;
    throw new Interrupted(new CheckpointError('network', message, { url: this.#url, from, given: given.first }));
  }

  /** @throws CheckpointError `network` for another version than the first answer's */
  #compare(answer: Transfer, version: Version): void {
    const first = (this.#version ??= version.total === undefined ? undefined : version);
    if (!first) return;
    const isSame = first.tag === version.tag && (version.total === undefined || first.total === version.total);
    if (isSame) return;
    const shown = ({ total, tag }: Version) => `${total ?? 'unknown'} bytes, ${tag?.slice(0, 200) ?? 'no ETag'}`;
    throw this.#refused(answer, `changed while it was read (${shown(first)}; now ${shown(version)}): load it anew`);
  }

  #refused(answer: Transfer, what: string): CheckpointError {
    answer.cancel();
    const { status } = answer.response;
    return new CheckpointError('network', `${this.#url} ${what}`, { url: this.#url, status });
  }
}

/** The ETag, or the date of the last change. */
function tagOf(response: Response): string | null {
  return response.headers.get('etag') ?? response.headers.get('last-modified');
}
