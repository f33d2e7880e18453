// The page's server: on this machine only, one page, one study, an event each time the study has grown.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { messageOf, SearchError } from '@instatune/search';
import { renderStudyPage } from './page.ts';
import type { StudyFile } from './study-file.ts';

/** How often the file is asked whether it has changed, in milliseconds. */
const EVERY = 500;

export interface ViewServer extends AsyncDisposable {
  readonly url: string;
}

const HEADERS = {
  'Cache-Control': 'no-store',
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
  'Cross-Origin-Resource-Policy': 'same-origin',
};

/**
 * Serves a study on 127.0.0.1 until disposed of.
 *
 * @param port 0 for any that is free
 * @throws SearchError `invalid-option` where the port is taken
 */
export async function serveStudy(file: StudyFile, port: number): Promise<ViewServer> {
  const listeners = new Set<ServerResponse>();
  let known = file.version();
  const timer = setInterval(() => {
    // A file that cannot be read at this moment (copied over, on a disk that sleeps) is asked again.
    const version = attempt(() => file.version()) ?? known;
    if (version === known) return;
    known = version;
    for (const listener of listeners) listener.write('data: changed\n\n');
  }, EVERY);

  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    for (const [name, value] of Object.entries(HEADERS)) response.setHeader(name, value);
    const { port: own } = server.address() as AddressInfo;
    // Another site's name that was made to point here is no name of this server.
    if (![`127.0.0.1:${own}`, `localhost:${own}`].includes(request.headers.host ?? '')) return end(response, 421);
    if (request.method !== 'GET') return end(response, 405);
    switch (request.url) {
      case '/':
        response.setHeader('Content-Type', 'text/html; charset=utf-8');
        response.end(renderStudyPage(await file.view(), { events: 'events' }));
        return;
      case '/study.json':
        response.setHeader('Content-Type', 'application/json');
        response.end(JSON.stringify(await file.view()));
        return;
      case '/events':
        response.writeHead(200, { 'Content-Type': 'text/event-stream' });
        response.write(': here\n\n');
        listeners.add(response);
        request.on('close', () => listeners.delete(response));
        return;
      default:
        end(response, 404);
    }
  };
  const server = createServer((request, response) => {
    answer(request, response).catch((error: unknown) => {
      if (!response.headersSent) response.writeHead(500, { 'Content-Type': 'text/plain; charset=utf-8' });
      response.end(messageOf(error));
    });
  });
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject).listen(port, '127.0.0.1', resolve);
    });
  } catch (error) {
    clearInterval(timer);
    throw new SearchError('invalid-option', `--port ${port}: ${messageOf(error)}: use another, or 0`, { port });
  }
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    async [Symbol.asyncDispose]() {
      clearInterval(timer);
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function attempt(action: () => number): number | undefined {
  try {
    return action();
  } catch {
    return undefined;
  }
}

function end(response: ServerResponse, status: number): void {
  response.writeHead(status, { 'Content-Type': 'text/plain' }).end();
}
