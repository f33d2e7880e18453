// The page's server: the page as vite bundles it, one run at a time in a worker, its messages as server-sent events. Localhost only.
import { existsSync } from 'node:fs';
import { extname, join } from 'node:path';
import * as v from 'valibot';
import { build } from 'vite';
import { RunState } from '../pipeline/state.ts';
import type { ServerStatus, StartRequest } from './messages.ts';
import {
  readJson,
  sendFile,
  sendJson,
  startLocalServer,
  type Exchange,
  type LocalServer,
  type LocalServerOptions,
  type ServedFile,
} from './local-server.ts';
import { Runs } from './runs.ts';

const PAGE = join(import.meta.dirname, '../../web');

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

export interface PageServerOptions {
  /** Folder of the runs. */
  readonly out: string;
  /** @defaultValue 0: a free one */
  readonly port?: number;
}

/** Serves the page until closed. A run that goes then ends at once; its state is on disk. */
export async function servePage({ out, port }: PageServerOptions): Promise<LocalServer> {
  const runs = new Runs(out);
  const server = await startLocalServer({ files: await buildPage(), routes: routesOf(runs, out), port });
  const close = async (): Promise<void> => {
    await runs.close();
    await server.close();
  };
  return { url: server.url, close, [Symbol.asyncDispose]: close };
}

/** Bundles the page in memory. */
async function buildPage(): Promise<ReadonlyMap<string, ServedFile>> {
  const built = await build({
    configFile: false,
    root: PAGE,
    base: './',
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
    outputs.map((file): [string, ServedFile] => {
      const content = file.type === 'chunk' ? file.code : file.source;
      return [`/${file.fileName}`, { type: types[extname(file.fileName)] ?? 'application/octet-stream', content }];
    }),
  );
  files.set('/', files.get('/index.html')!);
  return files;
}

function routesOf(runs: Runs, out: string): LocalServerOptions['routes'] {
  return {
    'GET /status': ({ response }: Exchange) => {
      const status: ServerStatus = {
        isRunning: runs.isRunning,
        isResumable: RunState.exists(out),
        hasReport: existsSync(join(out, 'report.html')),
      };
      sendJson(response, 200, status);
    },
    'GET /events': ({ response }: Exchange) => {
      response.writeHead(200, { 'Content-Type': 'text/event-stream' });
      response.write('retry: 1000\n\n');
      const stop = runs.listen((message) => response.write(`data: ${JSON.stringify(message)}\n\n`));
      response.on('close', stop);
    },
    'POST /start': async ({ request, response }: Exchange) => {
      const parsed = v.safeParse(startSchema, await readJson(request));
      if (!parsed.success) return sendJson(response, 400, { message: parsed.issues[0].message });
      const isStarted = runs.start(parsed.output as StartRequest);
      sendJson(response, isStarted ? 202 : 409, {
        message: isStarted ? 'started' : 'a run is going on: stop it first',
      });
    },
    'POST /stop': ({ response }: Exchange) => {
      runs.stop();
      sendJson(response, 202, { message: 'stopping' });
    },
    'GET /report.html': ({ response }: Exchange) =>
      sendFile(response, join(out, 'report.html'), 'text/html; charset=utf-8'),
    'GET /result.json': ({ response }: Exchange) => sendFile(response, join(out, 'result.json'), 'application/json'),
  };
}
