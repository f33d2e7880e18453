// What a cache may still do: nothing when it is disposed, or the GPU has refused a step; only one call at a time while tokens wait in it.
import { HipError } from '@hip/mask-search';
import type { GpuCall } from '../dispatch/call.ts';

export class CacheGuard {
  /** Holds appends that are counted but not submitted. */
  pending: GpuCall | undefined;
  #disposed = false;
  /** What the GPU said when it refused an append or a step. */
  #failure: HipError | undefined;

  get disposed(): boolean {
    return this.#disposed;
  }

  /** @returns whether it was not disposed before */
  dispose(): boolean {
    const isFirst = !this.#disposed;
    this.#disposed = true;
    return isFirst;
  }

  /** The GPU refused what was submitted: it goes no further. */
  fail(error: HipError): void {
    this.#failure ??= error;
  }

  /** @param length tokens held, for the message. @throws HipError `internal`, or the code of what the GPU refused */
  checkAlive(length: number): void {
    if (this.#disposed) throw new HipError('internal', 'this cache is disposed: make another over the pool');
    if (!this.#failure) return;
    const message = `the GPU refused a step of this sequence, so what its cache holds is not certain: dispose it and begin again from the prompt (${this.#failure.message})`;
    throw new HipError(this.#failure.code, message, { length }, { cause: this.#failure });
  }

  /** @throws HipError `invalid-shape` for a number of new tokens that is none; what {@link checkAlive} throws */
  checkTokens(length: number, tokens: number): void {
    this.checkAlive(length);
    if (!Number.isSafeInteger(tokens) || tokens < 1)
      throw new HipError('invalid-shape', `tokens is ${tokens}: give an integer >= 1`, { tokens });
  }

  /** @throws HipError `internal` while tokens wait; what {@link checkAlive} throws */
  checkIdle(length: number): void {
    this.checkAlive(length);
    if (!this.pending) return;
    const message =
      'tokens of this cache wait in a call that was not submitted: submit it, or dispose it to take them back';
    throw new HipError('internal', message);
  }
}
