// A server for one person on this machine: localhost, a token in the address, and no request that ends it.
import { randomBytes, timingSafeEqual } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A file of a folder. */
export interface ServedFile {
  readonly type: string;
  /** Where it lies. */
  readonly path: string;
}

export interface LocalServerOptions {
  /** By path below the token, `/` for the first page: nothing else is served, whatever a request names. */
  readonly files: ReadonlyMap<string, ServedFile>;
  /** @defaultValue 0: a free one */
  readonly port?: number | undefined;
}

export interface LocalServer extends AsyncDisposable {
  /** Address with the token, without a slash at its end. Whoever does not know the token gets nothing. */
  readonly url: string;
  close(): Promise<void>;
}

/**
 * The address holds the token: it is told to no other site, and no other site shows the page. Pages that are isolated from other origins
 * may compute with threads.
 */
const HEADERS = {
  'Cache-Control': 'no-store',
  'Cross-Origin-Embedder-Policy': 'require-corp',
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Referrer-Policy': 'no-referrer',
  'X-Content-Type-Options': 'nosniff',
  'X-Frame-Options': 'DENY',
};

const equal = (a: string, b: string): boolean => {
  const [left, right] = [Buffer.from(a), Buffer.from(b)];
  return left.length === right.length && timingSafeEqual(left, right);
};

/** Serves until closed, on 127.0.0.1 only. @throws the system's error where the port cannot be had */
export async function startLocalServer({ files, port = 0 }: LocalServerOptions): Promise<LocalServer> {
  const token = randomBytes(16).toString('base64url');
  const server = createServer({ requestTimeout: 30_000, headersTimeout: 10_000 }, (request, response) => {
    for (const [name, value] of Object.entries(HEADERS)) response.setHeader(name, value);
    // A browser that goes away in the middle is no error of ours.
    response.on('error', () => {});
    answer(request, response).catch((error: unknown) => {
      if (response.headersSent) response.destroy();
      else response.writeHead(500).end(`${error instanceof Error ? error.message : String(error)}\n`);
    });
  });
  server.on('clientError', (_, socket) => {
    if (socket.writable) socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n');
    else socket.destroy();
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  server.on('error', () => {});
  const own = (server.address() as AddressInfo).port;
  const hosts = [`127.0.0.1:${own}`, `localhost:${own}`];

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = '', headers } = request;
    // Another site's page must not reach this, whatever name it gives this machine.
    const isOwnOrigin = headers.origin === undefined || hosts.some((host) => headers.origin === `http://${host}`);
    if (!hosts.includes(headers.host ?? '') || !isOwnOrigin) return end(response, 403, 'localhost only');
    const [target = ''] = (request.url ?? '').split(/[?#]/);
    const [, given = '', ...rest] = target.split('/');
    if (!target.startsWith('/') || !equal(given, token)) return end(response, 403, 'open the address that was printed');
    const path = `/${rest.join('/')}`;
    // Relative addresses of the page need the slash.
    if (rest.length === 0) {
      response.writeHead(308, { Location: `/${token}/` }).end();
      return;
    }
    const file = files.get(path);
    if (!file) return end(response, 404, 'there is nothing here');
    if (method !== 'GET' && method !== 'HEAD') {
      response.setHeader('Allow', 'GET, HEAD');
      return end(response, 405, 'only to be read');
    }
    // At once, for one visitor: also who has said all that they want to gets an answer.
    const content = readFileSync(file.path);
    response.writeHead(200, { 'Content-Type': file.type, 'Content-Length': content.length });
    response.end(method === 'HEAD' ? undefined : content);
  }

  const close = async (): Promise<void> => {
    server.closeAllConnections();
    if (server.listening) await new Promise((resolve) => server.close(resolve));
  };
  return { url: `http://127.0.0.1:${own}/${token}`, close, [Symbol.asyncDispose]: close };
}

function end(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, { 'Content-Type': 'text/plain; charset=utf-8' }).end(`${text}\n`);
}
