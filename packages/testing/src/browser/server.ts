// A web server for one test: files from memory or a folder, cross-origin isolated so that SharedArrayBuffer and threads work.
import { createReadStream, statSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join, normalize } from 'node:path';

const TYPES: Readonly<Record<string, string>> = {
  '.css': 'text/css',
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.json': 'application/json',
  '.mjs': 'text/javascript',
  '.svg': 'image/svg+xml',
  '.wasm': 'application/wasm',
};

export interface ServeOptions {
  /** Path → content, e.g. `{ '/': '<!doctype html>', '/main.js': code }`. Looked at before `root`. @defaultValue {} */
  readonly files?: Readonly<Record<string, string | Uint8Array>>;
  /** A folder whose files are served where `files` has none. @defaultValue none */
  readonly root?: string;
  /** Sends COOP and COEP, which make the page `crossOriginIsolated`. @defaultValue true */
  readonly isolated?: boolean;
  /** Lets pages of other origins read, ranges too. @defaultValue false */
  readonly cors?: boolean;
}

export interface TestServer extends AsyncDisposable {
  /** e.g. `http://localhost:34567`: a secure context, which WebGPU needs. */
  readonly url: string;
}

const CORS = {
  'Access-Control-Allow-Origin': '*',
  'Access-Control-Allow-Headers': 'range, if-range, if-match',
  'Access-Control-Expose-Headers': 'content-range, content-length, etag',
  'Cross-Origin-Resource-Policy': 'cross-origin',
};

/** A file, or the one range of it that is asked for. */
function sendFile(file: string, { headers }: IncomingMessage, response: ServerResponse): void {
  const { size } = statSync(file);
  response.setHeader('Accept-Ranges', 'bytes');
  const [, from, to] = /^bytes=(\d+)-(\d*)$/.exec(headers.range ?? '') ?? [];
  const start = Number(from ?? 0);
  const end = Math.min(to ? Number(to) : size - 1, size - 1);
  if (from !== undefined && start <= end) {
    response.writeHead(206, { 'Content-Range': `bytes ${start}-${end}/${size}`, 'Content-Length': end + 1 - start });
    createReadStream(file, { start, end }).pipe(response);
    return;
  }
  response.setHeader('Content-Length', size);
  createReadStream(file).pipe(response);
}

/** Serves on a free port of localhost until disposed of. */
export async function serve({ files = {}, root, isolated = true, cors = false }: ServeOptions): Promise<TestServer> {
  const server = createServer((request, response) => {
    const path = decodeURIComponent(new URL(request.url ?? '/', 'http://localhost').pathname);
    if (isolated) {
      response.setHeader('Cross-Origin-Opener-Policy', 'same-origin');
      response.setHeader('Cross-Origin-Embedder-Policy', 'require-corp');
      response.setHeader('Cross-Origin-Resource-Policy', 'same-origin');
    }
    if (cors) for (const [name, value] of Object.entries(CORS)) response.setHeader(name, value);
    if (request.method === 'OPTIONS') return void response.writeHead(204).end();
    const named = path.endsWith('/') ? `${path}index.html` : path;
    const found = files[path] ?? files[named];
    const file = root && join(root, normalize(named));
    response.setHeader('Content-Type', TYPES[extname(path) || '.html'] ?? 'application/octet-stream');
    if (found !== undefined) response.end(found);
    else if (file && statSync(file, { throwIfNoEntry: false })?.isFile()) sendFile(file, request, response);
    else response.writeHead(404).end();
  });
  await new Promise<void>((resolve) => server.listen(0, 'localhost', resolve));
  return {
    url: `http://localhost:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
