// Rows of CSV and TSV out of text in pieces: memory holds the rows of one piece.
import { SupernetError } from '../errors.ts';
import { csvParser } from './csv-parser.ts';

/** Text in pieces: a string, chunks of a file, a web stream. */
export type TextChunks = string | AsyncIterable<string | Uint8Array> | Iterable<string | Uint8Array>;

/** One row, and the line that it ends on. */
export interface TableRecord {
  readonly record: readonly string[];
  readonly line: number;
}

/** The rows of each chunk. The parser works when it is written to, so a chunk is asked for once the last one's rows are taken. */
export async function* records(
  source: TextChunks,
  delimiter: string,
  quote: string | null,
  signal: AbortSignal | undefined,
): AsyncGenerator<readonly TableRecord[]> {
  const parse = await csvParser();
  const parser = parse({
    delimiter,
    quote,
    bom: true,
    skip_empty_lines: true,
    relax_column_count: true,
    info: true,
  });
  let failed: Error | undefined;
  const over = new Promise<void>((resolve) => {
    parser.on('end', () => resolve());
    parser.on('error', (error) => {
      failed ??= error;
      resolve();
    });
  });
  const ready = (): TableRecord[] => {
    const rows: TableRecord[] = [];
    for (;;) {
      const row = parser.read() as { record: string[]; info: { lines: number } } | null;
      if (row === null) return rows;
      rows.push({ record: row.record, line: row.info.lines });
    }
  };
  try {
    for await (const piece of decoded(source)) {
      signal?.throwIfAborted();
      if (piece !== '') parser.write(piece);
      yield ready();
      if (failed) throw failed;
    }
    // The last row, and an error in it, may come later than the end: streams of Node say both in another turn.
    const rest: TableRecord[] = [];
    parser.on('readable', () => rest.push(...ready()));
    parser.end();
    rest.push(...ready());
    await over;
    if (failed) throw failed;
    yield rest;
  } catch (cause) {
    if (cause instanceof SupernetError) throw cause;
    if (signal?.aborted) throw new SupernetError('aborted', 'reading the table was aborted', {}, { cause });
    throw new SupernetError('invalid-data', `the table cannot be read: ${(cause as Error).message}`, {}, { cause });
  }
}

/** Text of a source: UTF-8, or little-endian UTF-16 where a byte order mark says so. */
export async function* decoded(source: TextChunks): AsyncGenerator<string> {
  let decoder: TextDecoder | undefined;
  let head = new Uint8Array(0);
  for await (const chunk of typeof source === 'string' ? [source] : source) {
    if (typeof chunk === 'string') {
      yield chunk;
    } else if (decoder) {
      yield decoder.decode(chunk, { stream: true });
    } else {
      const joined = new Uint8Array(head.length + chunk.length);
      joined.set(head);
      joined.set(chunk, head.length);
      head = joined;
      if (head.length < 2) continue;
      decoder = new TextDecoder(head[0] === 0xff && head[1] === 0xfe ? 'utf-16le' : 'utf-8');
      yield decoder.decode(head, { stream: true });
    }
  }
  yield decoder ? decoder.decode() : new TextDecoder().decode(head);
}
