// A server: requests in, responses out, wherever fetch is spoken; and a port to listen on, in Node.
import type { Server as NodeServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { LlmError } from '../errors.ts';
import type { LanguageModel } from '../model/language-model.ts';
import type { AccessOptions } from './access.ts';
import type { ApiError } from './api-error.ts';
import { createApp } from './app.ts';
import type { ServedEmbedder } from './embeddings.ts';
import { Service, type ServerLoad, type ServiceOptions } from './service.ts';

/** Options of {@link createServer}. */
export interface ServerOptions extends ServiceOptions, AccessOptions {
  /** Names that requests may give the model; answers tell the first. @defaultValue the model's family */
  readonly names?: readonly string[] | undefined;
  /** What answers `/v1/embeddings`. @defaultValue nothing: 501 */
  readonly embedder?: { readonly name: string; readonly embedder: ServedEmbedder } | undefined;
  /** Bytes that a request's body may have. @defaultValue 4 MiB */
  readonly bodyLimit?: number | undefined;
  /** Told of every error that is answered; `cause` is what was thrown. */
  readonly onError?:
    | ((error: ApiError, request: { readonly method: string; readonly path: string }) => void)
    | undefined;
}

/** Where {@link LlmServer.listen} listens. */
export interface ListenOptions {
  /** @defaultValue 8080; 0 is any that is free */
  readonly port?: number | undefined;
  /** @defaultValue 127.0.0.1: this machine alone */
  readonly host?: string | undefined;
}

const BODY_LIMIT = 4 * 2 ** 20;
/** Milliseconds in which answers may end before they are ended. */
const GRACE = 3000;
/** … and in which their last words may reach their readers. */
const LAST_WORDS = 500;

/**
 * Serves a model to clients of the OpenAI API: `/v1/chat/completions`, `/v1/completions`, `/v1/embeddings`, `/v1/models`, `/health`.
 *
 * The server does not close the model.
 *
 * @throws LlmError `invalid-input`; `unsupported-model` without a tokenizer
 *
 * @example
 * ```ts
 * import { loadLanguageModel } from '@hip/llm';
 * import { createServer } from '@hip/llm/serve';
 *
 * using model = await loadLanguageModel('./SmolLM2-135M-Instruct.Q4_1.gguf', { contextTokens: 2048 });
 * const server = createServer(model, { names: ['smollm2'] });
 * const messages = [{ role: 'user', content: 'What is the capital of France?' }];
 * const response = await server.fetch(
 *   new Request('http://localhost/v1/chat/completions', {
 *     method: 'POST',
 *     headers: { 'content-type': 'application/json' },
 *     body: JSON.stringify({ model: 'smollm2', messages, temperature: 0 }),
 *   }),
 * );
 * const { choices } = (await response.json()) as { choices: { message: { content: string } }[] };
 * console.log(choices[0]!.message.content); // => The capital of France is Paris.
 * await server.close();
 * ```
 */
export function createServer(model: LanguageModel, options: ServerOptions = {}): LlmServer {
  return new LlmServer(model, options);
}

/** A served model; {@link createServer} makes it. */
export class LlmServer implements AsyncDisposable {
  readonly #service: Service;
  readonly #fetch: (request: Request) => Response | Promise<Response>;
  #node: NodeServer | undefined;
  #closed: Promise<void> | undefined;

  /** @internal */
  constructor(model: LanguageModel, options: ServerOptions) {
    const { names = [model.config.family], bodyLimit = BODY_LIMIT } = options;
    if (names.length === 0)
      throw new LlmError('invalid-input', 'names is empty: give the model a name', { name: 'names', value: names });
    this.#service = new Service(model, options);
    // Said now rather than with the first request.
    void this.#service.tokenizer;
    this.#fetch = createApp(this.#service, { ...options, names, bodyLimit }).fetch;
  }

  /** What the server is doing. */
  get load(): ServerLoad {
    return this.#service.load;
  }

  /** Answers one request: for Workers, Deno, or another server. Its `signal` ends the work. */
  fetch = async (request: Request): Promise<Response> => this.#fetch(request);

  /**
   * Listens on a port of this machine, in Node.
   *
   * @throws LlmError `busy` where it listens already, `invalid-input` where the port cannot be had
   */
  async listen({ port = 8080, host = '127.0.0.1' }: ListenOptions = {}): Promise<{
    readonly url: string;
    readonly port: number;
  }> {
    if (this.#closed) throw new LlmError('closed', 'this server has ended: create another', {});
    if (this.#node) throw new LlmError('busy', 'this server listens already: close it, or create another', {});
    const { createAdaptorServer } = await import('@hono/node-server');
    const node = createAdaptorServer({ fetch: this.fetch, overrideGlobalObjects: false }) as NodeServer;
    this.#node = node;
    await new Promise<void>((resolve, reject) => {
      node.once('error', (cause: NodeJS.ErrnoException) => {
        this.#node = undefined;
        const why = cause.code === 'EADDRINUSE' ? 'something else listens there' : cause.message;
        reject(
          new LlmError(
            'invalid-input',
            `cannot listen on ${host}:${port}: ${why}`,
            { name: 'port', port, host },
            { cause },
          ),
        );
      });
      node.listen(port, host, resolve);
    });
    const { port: given } = node.address() as AddressInfo;
    return { url: `http://${host.includes(':') ? `[${host}]` : host}:${given}`, port: given };
  }

  /**
   * Ends within 5 seconds: takes no more requests, refuses those that wait, lets answers end for `graceMs`, then ends them. The model
   * stays.
   *
   * @param graceMs - milliseconds, at most 4,000. @defaultValue 3000
   */
  close(graceMs: number = GRACE): Promise<void> {
    return (this.#closed ??= this.#close(Math.min(4000, Math.max(0, graceMs))));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(graceMs: number): Promise<void> {
    const node = this.#node;
    const isClosed = node && new Promise<void>((resolve) => node.close(() => resolve()));
    node?.closeIdleConnections();
    await this.#service.close(graceMs);
    if (!node) return;
    node.closeIdleConnections();
    // Readers get what is written; who does not read is cut off.
    const timer = setTimeout(() => node.closeAllConnections(), LAST_WORDS);
    await isClosed;
    clearTimeout(timer);
  }
}
