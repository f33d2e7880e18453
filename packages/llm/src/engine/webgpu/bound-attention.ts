// The attention of steps, bound once for each group of conversations that step together, and each phase of their searches.
import { GpuCall, ModelTurn, type GpuContext, type ModelSession, type PreparedCall } from '@hip/kernels-webgpu';
import type { Activations } from './activations.ts';
import type { GpuDecoder } from './decoder.ts';

/** Groups of conversations whose passes stay bound. */
const MOST_GROUPS = 64;

interface Bound {
  readonly sessions: readonly ModelSession[];
  /** By layer. */
  readonly calls: readonly PreparedCall[];
}

export class BoundAttention {
  readonly #context: GpuContext;
  readonly #decoder: GpuDecoder;
  readonly #steps: Activations;
  readonly #layers: number;
  /** By sessions and phases, the one that served last at the end. */
  readonly #bound = new Map<string, Bound>();
  readonly #numbers = new WeakMap<ModelSession, number>();
  #count = 0;

  constructor(context: GpuContext, decoder: GpuDecoder, steps: Activations, layers: number) {
    this.#context = context;
    this.#decoder = decoder;
    this.#steps = steps;
    this.#layers = layers;
  }

  /** The same for a session every time, so that groups come in one order. */
  numberOf(session: ModelSession): number {
    let number = this.#numbers.get(session);
    if (number === undefined) this.#numbers.set(session, (number = this.#count++));
    return number;
  }

  /** A call a layer for steps whose rows are those of the turns. */
  of(steps: readonly { readonly session: ModelSession; readonly turn: ModelTurn }[]): readonly PreparedCall[] {
    const key = steps.map(({ session, turn }) => `${this.numberOf(session)}/${turn.phase ?? ''}`).join(' ');
    const bound = this.#bound.get(key) ?? this.#make(steps);
    this.#bound.delete(key);
    this.#bound.set(key, bound);
    const [oldest] = this.#bound;
    if (oldest && this.#bound.size > MOST_GROUPS) this.#release(...oldest);
    return bound.calls;
  }

  /** Gives back what is bound of a session. */
  forget(session: ModelSession): void {
    for (const [key, bound] of this.#bound) if (bound.sessions.includes(session)) this.#release(key, bound);
  }

  #make(steps: readonly { readonly session: ModelSession; readonly turn: ModelTurn }[]): Bound {
    const turns = steps.map(({ turn }) => turn);
    const calls = Array.from({ length: this.#layers }, (_, layer) => {
      using call = new GpuCall(this.#context);
      ModelTurn.encodeTogether(call, layer, turns, this.#decoder.attention(this.#steps, layer, this.#steps.rows));
      return call.prepare();
    });
    return { sessions: steps.map(({ session }) => session), calls };
  }

  #release(key: string, { calls }: Bound): void {
    this.#bound.delete(key);
    for (const call of calls) call.release();
  }
}
