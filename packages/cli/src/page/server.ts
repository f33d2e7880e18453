// Serves the timing page on this machine and hands it orders. The page that was opened last has them; a reloaded one goes on.
import { readFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { basename, extname, join } from 'node:path';
import { TuneError } from '../errors.ts';
import { script } from './script.generated.ts';
import type { Answer, Feeds, Order, WebProvider } from './protocol.ts';

/** Milliseconds after which a page that has nothing to do asks again. */
const WAIT = 15_000;
const MODULES: Readonly<Record<WebProvider, string>> = { wasm: 'ort.wasm.min.mjs', webgpu: 'ort.webgpu.min.mjs' };
const TYPES: Readonly<Record<string, string>> = { '.mjs': 'text/javascript', '.wasm': 'application/wasm' };

interface Asked {
  readonly order: Extract<Order, { do: 'pass' }>;
  readonly settle: (answer: Answer) => void;
  readonly fail: (error: unknown) => void;
}

/** The page's server. */
export class TimingPage implements AsyncDisposable {
  readonly url: string;
  readonly #server: ReturnType<typeof createServer>;
  readonly #networks = new Map<number, { readonly model: Uint8Array; readonly feeds: Feeds }>();
  /** One order at a time: passes are timed alone. */
  #asked: Asked | undefined;
  /** Networks that the page may let go of. */
  readonly #unused: number[] = [];
  #waiting: ((order: Order) => void) | undefined;
  #page = 0;
  #numbers = 0;
  #closed: string | undefined;

  private constructor(server: ReturnType<typeof createServer>) {
    this.#server = server;
    this.url = `http://localhost:${(server.address() as AddressInfo).port}/`;
  }

  /** @param folder where onnxruntime-web's files are */
  static async open(folder: string, provider: WebProvider): Promise<TimingPage> {
    let page: TimingPage | undefined;
    const server = createServer((request, response) => {
      // Threads and exact clocks need an isolated page.
      response.setHeader('Cross-Origin-Opener-Policy', 'same-origin');
      response.setHeader('Cross-Origin-Embedder-Policy', 'require-corp');
      page!.#serve(request, response, folder, provider).catch(() => response.writeHead(500).end());
    });
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(0, 'localhost', resolve);
    });
    page = new TimingPage(server);
    return page;
  }

  /** Hands the page a network to time. */
  add(model: Uint8Array, feeds: Feeds): { pass(): Promise<number>; close(): void } {
    const network = ++this.#numbers;
    this.#networks.set(network, { model, feeds });
    return {
      pass: async () => {
        const { ms, error } = await this.#ask(network);
        if (ms !== undefined) return ms;
        throw new TuneError('runtime-failed', `the browser's page cannot run the network: ${error}`, { error });
      },
      close: () => {
        this.#networks.delete(network);
        this.#unused.push(network);
      },
    };
  }

  #ask(network: number): Promise<Answer> {
    if (this.#closed !== undefined) return Promise.reject(new TuneError('runtime-failed', this.#closed, {}));
    return new Promise((settle, fail) => {
      const order = { do: 'pass', order: ++this.#numbers, network, free: this.#unused.splice(0) } as const;
      this.#asked = { order, settle, fail };
      this.#waiting?.(order);
    });
  }

  /** Ends the page and whoever waits for it. */
  close(why: string): void {
    this.#closed ??= why;
    this.#asked?.fail(new TuneError('runtime-failed', why, {}));
    this.#asked = undefined;
    this.#waiting?.({ do: 'stop', why });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close('the run is over');
    await new Promise((resolve) => {
      this.#server.close(resolve);
      // What the page is told last gets there.
      setTimeout(() => this.#server.closeAllConnections(), 200).unref();
    });
  }

  async #serve(
    request: IncomingMessage,
    response: ServerResponse,
    folder: string,
    provider: WebProvider,
  ): Promise<void> {
    const { pathname, searchParams } = new URL(request.url ?? '/', this.url);
    const [, place, rest = ''] = pathname.split('/');
    const isOwn = Number(searchParams.get('page')) === this.#page;
    switch (place) {
      case '':
        response.setHeader('Content-Type', 'text/html; charset=utf-8');
        response.end(html(provider));
        return;
      case 'ort': {
        const file = basename(rest);
        response.setHeader('Content-Type', TYPES[extname(file)] ?? 'application/octet-stream');
        response.end(await readFile(join(folder, file)));
        return;
      }
      case 'model':
      case 'feeds': {
        const network = this.#networks.get(Number(rest));
        if (!network) response.writeHead(404).end();
        else response.end(place === 'model' ? network.model : JSON.stringify(network.feeds));
        return;
      }
      case 'hello':
        this.#waiting?.({ do: 'stop', why: 'another page has taken over' });
        this.#waiting = undefined;
        response.end(String(++this.#page));
        return;
      case 'next':
        response.end(JSON.stringify(isOwn ? await this.#next() : { do: 'stop', why: 'another page has taken over' }));
        return;
      case 'answer': {
        const chunks: Buffer[] = [];
        for await (const chunk of request) chunks.push(chunk as Buffer);
        const answer = JSON.parse(Buffer.concat(chunks).toString()) as Answer;
        const asked = this.#asked;
        response.end();
        if (!isOwn || asked?.order.order !== answer.order) return;
        this.#asked = undefined;
        asked.settle(answer);
        return;
      }
      default:
        response.writeHead(404).end();
    }
  }

  /** The order that is open, or the next one within a while. */
  #next(): Promise<Order> {
    if (this.#closed !== undefined) return Promise.resolve({ do: 'stop', why: this.#closed });
    if (this.#asked) return Promise.resolve(this.#asked.order);
    return new Promise((resolve) => {
      const timer = setTimeout(() => settle({ do: 'wait' }), WAIT).unref();
      const settle = (order: Order): void => {
        clearTimeout(timer);
        if (this.#waiting === settle) this.#waiting = undefined;
        resolve(order);
      };
      this.#waiting = settle;
    });
  }
}

const html = (provider: WebProvider): string => `<!doctype html><html lang="en"><meta charset="utf-8">
<title>instatune: latencies in this browser</title><link rel="icon" href="data:,">
<h1>Timing networks in this browser</h1><p>Leave this page open and in front. <output>starting</output></p>
<script>ORT_MODULE = '/ort/${MODULES[provider]}'; PROVIDER = '${provider}';</script>
<script type="module">${script}</script></html>`;
