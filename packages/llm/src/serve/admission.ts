// Who is answered now and who waits: places, room in the cache, and a queue with an end.
import { LlmError } from '../errors.ts';
import { ApiError } from './api-error.ts';

/** Bounds of {@link Admission}. */
export interface AdmissionOptions {
  /** Requests that are answered at once. */
  readonly slots: number;
  /** Requests that may wait. */
  readonly queue: number;
  /** Tokens that the requests that are answered may hold together. */
  readonly cacheTokens: number;
}

/** A request's place; give it back once. */
export interface Place {
  leave(): void;
}

interface Waiting {
  readonly tokens: number;
  readonly enter: () => void;
  readonly refuse: (error: unknown) => void;
}

/** Seconds that an answer is taken to need before one was given. */
const FIRST_GUESS = 1;

export class Admission {
  readonly #options: AdmissionOptions;
  readonly #onChange: (heldTokens: number) => void;
  readonly #waiting: Waiting[] = [];
  #held = { requests: 0, tokens: 0 };
  /** Seconds that an answer took lately. */
  #seconds = FIRST_GUESS;
  #isStopped = false;

  /** @param onChange - told how many tokens the answered requests may hold */
  constructor(options: AdmissionOptions, onChange: (heldTokens: number) => void = () => {}) {
    this.#options = options;
    this.#onChange = onChange;
  }

  get running(): number {
    return this.#held.requests;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  /**
   * Waits for a place, first come first served.
   *
   * @param tokens - that the request may come to hold
   * @throws ApiError 429 where the queue is full, 503 where the server ends; LlmError `aborted`
   */
  async enter(tokens: number, signal: AbortSignal): Promise<Place> {
    this.#checkOpen();
    if (signal.aborted) throw abortedError(signal);
    if (this.#waiting.length > 0 || !this.#hasRoom(tokens)) {
      const { queue, slots } = this.#options;
      if (this.#waiting.length >= queue) {
        const retryAfter = Math.max(1, Math.ceil((this.#seconds * (queue + slots)) / slots));
        const message = `${this.#held.requests} requests are answered and ${queue} wait: ask again later`;
        throw new ApiError(429, message, { code: 'rate_limit_exceeded', retryAfter });
      }
      await this.#wait(tokens, signal);
    } else {
      this.#take(tokens);
    }
    return this.#place(tokens);
  }

  /** Refuses all who wait and who come. */
  stop(): void {
    this.#isStopped = true;
    for (const { refuse } of this.#waiting.splice(0)) refuse(stoppedError());
  }

  #wait(tokens: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        const at = this.#waiting.indexOf(waiting);
        if (at >= 0) this.#waiting.splice(at, 1);
        reject(abortedError(signal));
        this.#admit();
      };
      const waiting: Waiting = {
        tokens,
        enter: () => {
          signal.removeEventListener('abort', leave);
          resolve();
        },
        refuse: (error) => {
          signal.removeEventListener('abort', leave);
          reject(error);
        },
      };
      signal.addEventListener('abort', leave, { once: true });
      this.#waiting.push(waiting);
    });
  }

  #place(tokens: number): Place {
    const startedAt = performance.now();
    let isLeft = false;
    return {
      leave: () => {
        if (isLeft) return;
        isLeft = true;
        this.#held = { requests: this.#held.requests - 1, tokens: this.#held.tokens - tokens };
        this.#seconds += ((performance.now() - startedAt) / 1000 - this.#seconds) / 8;
        this.#onChange(this.#held.tokens);
        this.#admit();
      },
    };
  }

  #admit(): void {
    for (;;) {
      const first = this.#waiting[0];
      if (!first || !this.#hasRoom(first.tokens)) return;
      this.#waiting.shift();
      this.#take(first.tokens);
      first.enter();
    }
  }

  #take(tokens: number): void {
    this.#held = { requests: this.#held.requests + 1, tokens: this.#held.tokens + tokens };
    this.#onChange(this.#held.tokens);
  }

  /** One alone always has: whether the cache holds it, the engine says. */
  #hasRoom(tokens: number): boolean {
    const { slots, cacheTokens } = this.#options;
    const { requests, tokens: held } = this.#held;
    return requests === 0 || (requests < slots && held + tokens <= cacheTokens);
  }

  #checkOpen(): void {
    if (this.#isStopped) throw stoppedError();
  }
}

function stoppedError(): ApiError {
  return new ApiError(503, 'the server is ending', { code: 'shutting_down', retryAfter: 5 });
}

export function abortedError(signal: AbortSignal): LlmError {
  return new LlmError('aborted', 'the request was aborted', { reason: signal.reason }, { cause: signal.reason });
}
