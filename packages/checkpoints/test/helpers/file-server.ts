// A server of files on 127.0.0.1 whose every answer a test may spoil.
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** What a request asks for, and how to answer it. */
export interface Asked {
  /** Name of the file, without what stands before it. */
  readonly name: string;
  readonly number: number;
  readonly bytes: Uint8Array | undefined;
  readonly range: readonly [from: number, to: number] | undefined;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** The answer of a server that is well. */
  readonly answer: (bytes?: Uint8Array, headers?: Readonly<Record<string, string>>) => void;
}

/** A running server. */
export interface FileServer extends AsyncDisposable {
  readonly address: string;
  /** Names asked for, in order. */
  readonly asked: string[];
  sent(): number;
}

/** Serves files by ranges at /NAME, and at /team/model/resolve/main/NAME as the Hub does. `spoil` answers itself where it returns true. */
export async function serveFiles(
  files: ReadonlyMap<string, Uint8Array>,
  spoil: (asked: Asked) => boolean | void = () => false,
): Promise<FileServer> {
  const asked: string[] = [];
  let sent = 0;
  const server = createServer((request, response) => {
    const name = (request.url ?? '').replace(/^\/(team\/model\/resolve\/main\/)?/, '');
    asked.push(name);
    const bytes = files.get(name);
    const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? [];
    const range = first === undefined ? undefined : ([Number(first), Number(last) + 1] as const);
    const answer: Asked['answer'] = (content = bytes, headers = {}) => {
      if (!content) return void response.writeHead(404, { 'x-error-code': 'EntryNotFound' }).end();
      const part = range ? content.subarray(range[0], range[1]) : content;
      sent += part.length;
      const place = range && { 'content-range': `bytes ${range[0]}-${range[0] + part.length - 1}/${content.length}` };
      response.writeHead(range ? 206 : 200, { etag: '"1"', ...place, ...headers }).end(part);
    };
    if (spoil({ name, number: asked.length, bytes, range, request, response, answer }) !== true) answer();
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  return {
    address: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    sent: () => sent,
    [Symbol.asyncDispose]: () => {
      server.closeAllConnections();
      return new Promise((resolve) => void server.close(() => resolve()));
    },
  };
}
