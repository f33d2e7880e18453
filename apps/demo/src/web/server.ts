// The page's server: the page as vite bundles it, one run at a time in a worker, its messages as server-sent events. Localhost only.
import { existsSync, createReadStream } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join } from 'node:path';
import * as v from 'valibot';
import { build } from 'vite';
import { RunState } from '../pipeline/state.ts';
import type { ServerStatus, StartRequest } from './messages.ts';
import { Runs } from './runs.ts';

const PAGE = join(import.meta.dirname, '../../web');
const LONGEST_BODY = 1 << 20;

const text = v.optional(v.string());
const number = v.optional(v.number());
const startSchema = v.object({
  resume: v.boolean(),
  input: v.object({
    model: text,
    text: v.optional(v.array(v.string())),
    document: text,
    seed: number,
    quick: v.optional(v.boolean()),
    budget: v.optional(v.array(v.string())),
    maxLoss: number,
    backend: text,
    steps: number,
    batch: number,
    sequence: number,
    evaluations: number,
    cost: text,
    lengths: v.optional(v.array(v.number())),
    keys: number,
    generate: number,
  }),
});

export interface PageServer extends AsyncDisposable {
  readonly url: string;
  close(): Promise<void>;
}

export interface PageServerOptions {
  /** Folder of the runs. */
  readonly out: string;
  /** @defaultValue 0: a free one */
  readonly port?: number;
}

/** Serves the page until closed. A run that goes then ends at once; its state is on disk. */
export async function servePage({ out, port = 0 }: PageServerOptions): Promise<PageServer> {
  const runs = new Runs(out);
  const files = await buildPage();
  const server = createServer((request, response) => {
    const path = new URL(request.url ?? '/', 'http://localhost').pathname;
    // Another site's page must not start runs here, whatever name it gives this machine.
    if (!isLocal(request)) {
      response.writeHead(403).end('localhost only\n');
      return;
    }
    const respond = ROUTES[`${request.method} ${path}`];
    if (!respond) {
      const file = request.method === 'GET' ? files.get(path) : undefined;
      if (file) response.writeHead(200, { 'Content-Type': file.type }).end(file.content);
      else response.writeHead(404).end('there is nothing here\n');
      return;
    }
    respond({ runs, out, request, response }).catch((error: unknown) => {
      response.writeHead(500).end(`${error instanceof Error ? error.message : String(error)}\n`);
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  const close = async (): Promise<void> => {
    await runs.close();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, close, [Symbol.asyncDispose]: close };
}

interface PageFile {
  readonly type: string;
  readonly content: string | Uint8Array;
}

/** Bundles the page in memory. */
async function buildPage(): Promise<ReadonlyMap<string, PageFile>> {
  const built = await build({
    configFile: false,
    root: PAGE,
    logLevel: 'error',
    build: { write: false, modulePreload: false },
  });
  const outputs = (Array.isArray(built) ? built : [built]).flatMap((bundle) =>
    'output' in bundle ? bundle.output : [],
  );
  const types: Readonly<Record<string, string>> = {
    '.html': 'text/html; charset=utf-8',
    '.js': 'text/javascript',
    '.css': 'text/css',
  };
  const files = new Map(
    outputs.map((file): [string, PageFile] => {
      const content = file.type === 'chunk' ? file.code : file.source;
      return [`/${file.fileName}`, { type: types[extname(file.fileName)] ?? 'application/octet-stream', content }];
    }),
  );
  files.set('/', files.get('/index.html')!);
  return files;
}

function isLocal({ headers }: IncomingMessage): boolean {
  const isHere = (host: string | undefined): boolean => /^(127\.0\.0\.1|localhost)(:\d+)?$/.test(host ?? '');
  const origin = headers.origin === undefined ? undefined : new URL(headers.origin).host;
  return isHere(headers.host) && (origin === undefined || isHere(origin));
}

interface Exchange {
  readonly runs: Runs;
  readonly out: string;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

const ROUTES: Readonly<Record<string, (exchange: Exchange) => Promise<void>>> = {
  'GET /status': async ({ runs, out, response }) => {
    const status: ServerStatus = {
      isRunning: runs.isRunning,
      isResumable: RunState.exists(out),
      hasReport: existsSync(join(out, 'report.html')),
    };
    sendJson(response, 200, status);
  },
  'GET /events': async ({ runs, response }) => {
    response.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' });
    response.write('retry: 1000\n\n');
    const stop = runs.listen((message) => response.write(`data: ${JSON.stringify(message)}\n\n`));
    response.on('close', stop);
  },
  'POST /start': async ({ runs, request, response }) => {
    const parsed = v.safeParse(startSchema, await readJson(request));
    if (!parsed.success) return sendJson(response, 400, { message: parsed.issues[0].message });
    const isStarted = runs.start(parsed.output as StartRequest);
    sendJson(response, isStarted ? 202 : 409, { message: isStarted ? 'started' : 'a run is going on: stop it first' });
  },
  'POST /stop': async ({ runs, response }) => {
    runs.stop();
    sendJson(response, 202, { message: 'stopping' });
  },
  'GET /report.html': ({ out, response }) => sendFile(response, join(out, 'report.html'), 'text/html; charset=utf-8'),
  'GET /result.json': ({ out, response }) => sendFile(response, join(out, 'result.json'), 'application/json'),
};

function sendJson(response: ServerResponse, status: number, value: unknown): void {
  response
    .writeHead(status, { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' })
    .end(JSON.stringify(value));
}

async function sendFile(response: ServerResponse, path: string, type: string): Promise<void> {
  if (!existsSync(path)) {
    response.writeHead(404).end('no run has finished yet\n');
    return;
  }
  response.writeHead(200, { 'Content-Type': type, 'Cache-Control': 'no-store' });
  createReadStream(path).pipe(response);
}

async function readJson(request: IncomingMessage): Promise<unknown> {
  let body = '';
  for await (const chunk of request) {
    body += String(chunk);
    if (body.length > LONGEST_BODY) return undefined;
  }
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
}
