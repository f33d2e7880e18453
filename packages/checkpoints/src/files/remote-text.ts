// Small files over HTTP: whole, of a limited size, tried again when the connection breaks.
import { CheckpointError } from '../errors.ts';
import { Interrupted, attempts } from './attempts.ts';
import type { HttpSourceOptions } from './attempts.ts';
import { contentRange, requireAnswer, transfer } from './transfer.ts';

/** Bytes of a small file at most, where nothing else is said: the largest vocabularies take a third of it. */
export const MAX_TEXT_BYTES = 2 ** 27;

/**
 * The text of a small file.
 *
 * @throws CheckpointError `file-not-found` on 404 and 410, `network` (with `details.status`; larger than `maxTextBytes`), `aborted`
 */
export async function remoteText(url: string, options: HttpSourceOptions): Promise<string> {
  return attempts(url, options, async () => {
    const answer = await transfer(url, options);
    requireAnswer(answer, url);
    const part = answer.response.status === 206 ? contentRange(answer.response) : undefined;
    if (answer.response.status === 206 && !(part?.first === 0 && part.last + 1 === part.total)) {
      answer.cancel();
      throw new Interrupted(
        new CheckpointError('network', `${url} answered with a part of the file, which was not asked for`, { url }),
      );
    }
    return new TextDecoder().decode(await collect(answer.chunks(), options.maxTextBytes ?? MAX_TEXT_BYTES, url));
  });
}

/** All chunks in one piece. @throws CheckpointError `network` for more bytes than `most`, as soon as they are there */
export async function collect(
  chunks: AsyncIterable<Uint8Array>,
  most: number,
  url: string,
): Promise<Uint8Array<ArrayBuffer>> {
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of chunks) {
    size += chunk.byteLength;
    if (size > most) {
      const message = `${url} holds more than ${most} bytes (unpacked), the most that is read of it`;
      throw new CheckpointError('network', message, { url, most });
    }
    parts.push(chunk);
  }
  const bytes = new Uint8Array(size);
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.byteLength;
  }
  return bytes;
}
