// A web server for one test: files from memory or a folder, cross-origin isolated so that SharedArrayBuffer and threads work.
import { createReadStream, statSync } from 'node:fs';
import { createServer } from 'node:http';
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
}

export interface TestServer extends AsyncDisposable {
  /** e.g. `http://localhost:34567`: a secure context, which WebGPU needs. */
  readonly url: string;
}

/** Serves on a free port of localhost until disposed of. */
export async function serve({ files = {}, root, isolated = true }: ServeOptions): Promise<TestServer> {
  const server = createServer((request, response) => {
    const path = decodeURIComponent(new URL(request.url ?? '/', 'http://localhost').pathname);
    if (isolated) {
      response.setHeader('Cross-Origin-Opener-Policy', 'same-origin');
      response.setHeader('Cross-Origin-Embedder-Policy', 'require-corp');
      response.setHeader('Cross-Origin-Resource-Policy', 'same-origin');
    }
    const found = files[path] ?? files[path === '/' ? '/index.html' : path];
    const file = root && join(root, normalize(path === '/' ? '/index.html' : path));
    response.setHeader('Content-Type', TYPES[extname(path) || '.html'] ?? 'application/octet-stream');
    if (found !== undefined) response.end(found);
    else if (file && statSync(file, { throwIfNoEntry: false })?.isFile()) createReadStream(file).pipe(response);
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
