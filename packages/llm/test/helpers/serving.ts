// A served model whose answers are what a test says, and requests to it.
import { createServer, type LlmServer, type ServerOptions } from '../../src/serve.ts';
import { fakeModel, type FakeModel } from './fake-model.ts';

/** What a parser gives: tests say what they expect of it. */
export type Json = ReturnType<typeof JSON.parse>;

export interface Served extends FakeModel {
  readonly server: LlmServer;
  /** Posts JSON (or a text as it is) and gives the status and the parsed body. */
  readonly post: (
    path: string,
    body: unknown,
    init?: RequestInit,
  ) => Promise<{ status: number; body: Json; headers: Headers }>;
}

/** @param options - of the model @param serverOptions - names default to `fake` */
export async function served(
  options: Parameters<typeof fakeModel>[0] = {},
  serverOptions: ServerOptions = {},
): Promise<Served> {
  const fake = await fakeModel(options);
  const server = createServer(fake.model, { names: ['fake'], ...serverOptions });
  return {
    ...fake,
    server,
    post: async (path, body, init) => {
      const response = await server.fetch(request(path, body, init));
      return { status: response.status, body: await response.json(), headers: response.headers };
    },
  };
}

export function request(path: string, body: unknown, init: RequestInit = {}): Request {
  const headers = {
    host: 'localhost:8080',
    'content-type': 'application/json',
    ...(init.headers as object | undefined),
  };
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  return new Request(`http://localhost:8080${path}`, { method: 'POST', ...init, headers, body: text });
}

/** Events of a stream: parsed, `[DONE]` as it is. */
export async function eventsOf(response: Response): Promise<Json[]> {
  const text = await response.text();
  return text
    .split('\n\n')
    .filter((part) => part !== '')
    .map((part) => {
      const data = part.replace(/^data: /, '');
      return data === '[DONE]' ? data : (JSON.parse(data) as unknown);
    });
}

export const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
