// A file that was dropped as text.
import { PlaygroundError } from '../rpc/protocol.ts';

const MOST_BYTES = 64 * 2 ** 20;

/** @throws PlaygroundError `text-too-long`, `not-text`, `file-access` */
export async function readText(file: File): Promise<string> {
  if (file.size > MOST_BYTES) {
    const message = `${file.name} has ${file.size} bytes, at most ${MOST_BYTES} are read: cut it`;
    throw new PlaygroundError('text-too-long', message);
  }
  const bytes = await file.arrayBuffer().catch((cause: unknown) => {
    throw new PlaygroundError('file-access', `${file.name} cannot be read any more: choose it again`, { cause });
  });
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    if (!text.includes('\0')) return text;
  } catch {
    // Said below.
  }
  throw new PlaygroundError('not-text', `${file.name} is no UTF-8 text: save it as plain text`);
}
