// A server for one person on this machine: localhost, a token in the address, and no request that ends it.
import { randomBytes, timingSafeEqual } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { pipeline } from 'node:stream/promises';

/** A file that is served from memory. */
export interface ServedFile {
  readonly type: string;
  readonly content: string | Uint8Array;
}

export interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

export interface LocalServerOptions {
  /** By path below the token, `/` for the page itself. */
  readonly files: ReadonlyMap<string, ServedFile>;
  /** By method and path, e.g. `POST /start`. */
  readonly routes: Readonly<Record<string, (exchange: Exchange) => void | Promise<void>>>;
  /** @defaultValue 0: a free one */
  readonly port?: number | undefined;
}

export interface LocalServer extends AsyncDisposable {
  /** Address with the token, without a slash at its end. Whoever does not know the token gets nothing. */
  readonly url: string;
  close(): Promise<void>;
}

const LONGEST_BODY = 1 << 20;

/** The address holds the token: it is told to no other site, and no other site shows the page. */
const HEADERS = {
  'Cache-Control': 'no-store',
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
export async function startLocalServer({ files, routes, port = 0 }: LocalServerOptions): Promise<LocalServer> {
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
    const route = Object.hasOwn(routes, `${method} ${path}`) ? routes[`${method} ${path}`] : undefined;
    if (route) return route({ request, response });
    const file = files.get(path);
    if (!file) return end(response, 404, 'there is nothing here');
    if (method !== 'GET' && method !== 'HEAD') {
      response.setHeader('Allow', 'GET, HEAD');
      return end(response, 405, 'only to be read');
    }
    response.writeHead(200, { 'Content-Type': file.type }).end(method === 'HEAD' ? undefined : file.content);
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

export function sendJson(response: ServerResponse, status: number, value: unknown): void {
  response.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(value));
}

/** A file from disk. */
export async function sendFile(response: ServerResponse, path: string, type: string): Promise<void> {
  const found = await stat(path).catch(() => undefined);
  if (!found?.isFile()) return end(response, 404, 'no run has finished yet');
  response.writeHead(200, { 'Content-Type': type });
  await pipeline(createReadStream(path), response);
}

/** The JSON that was sent; undefined where it is none, or beyond a megabyte. */
export async function readJson(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > LONGEST_BODY) return undefined;
    chunks.push(chunk);
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8')) as unknown;
  } catch {
    return undefined;
  }
}
