// ModelTurn: the next tokens of a conversation, from room in every layer's cache to commit or rollback.
import { HipError } from '@hip/mask-search';
import type { GpuMask } from '../attention/mask.ts';
import { GpuCall, type PreparedCall } from '../dispatch/call.ts';
import type { GpuContext } from '../dispatch/context.ts';
import type { Timer } from '../dispatch/timer.ts';
import { LayerAttention, type LayerStep } from './layer-attention.ts';
import { LayerRoom } from './layer-room.ts';
import { runOffloadedStep } from './offloaded-step.ts';
import { catchUp, isBehind, noteSummaries } from './step-summaries.ts';
import type { StepUniforms } from './step-uniforms.ts';
import type { StepTensors } from './tensors.ts';

export interface TurnParts {
  readonly context: GpuContext;
  readonly layers: readonly LayerAttention[];
  readonly kinds: readonly string[];
  /** By layer. */
  readonly uniforms: readonly StepUniforms[];
  readonly offload: boolean;
  readonly tokens: number;
  readonly row: number;
  /** Takes every layer back to before the turn. */
  readonly undo: () => void;
  readonly done: () => void;
}

/** @example see {@link ModelPool} */
export class ModelTurn implements Disposable {
  /** Tokens that the turn adds. */
  readonly tokens: number;
  /** Pages may lie on the host: {@link run} serves each layer, {@link encode} none. */
  readonly offloaded: boolean;
  /**
   * Of a step: which passes run. A call that was prepared for a step of the same session, tensors and phase serves this one, too: the
   * session's uniforms say what has changed. Undefined for chunks, whose calls serve once.
   */
  readonly phase: string | undefined;
  readonly #parts: TurnParts;
  readonly #steps: readonly LayerStep[] | undefined;
  #open = true;

  constructor(parts: TurnParts) {
    this.#parts = parts;
    const { tokens, offload } = parts;
    this.tokens = tokens;
    this.offloaded = offload;
    if (tokens > 1) return;
    this.#steps = this.#beginSteps();
    const phases = this.#steps.map(({ phase }, i) => `${parts.kinds.indexOf(parts.kinds[i]!)}:${phase}`);
    this.phase = [...new Set(phases)].join(' ');
  }

  /**
   * Adds a layer's passes: append, search, attention, the newest rows' output.
   *
   * @param tensors q, out [rows, H, d]; k, v [rows, Hkv, d], stored as the pool stores; a step reads and writes one row of them
   * @param keeps the mask is wanted after the call
   * @returns with `keeps`, what the layer's rows attended over, once the call has been submitted: its owner destroys it. Undefined where
   * the layer attended exactly
   * @throws HipError `invalid-shape`, `invalid-config`, `unsupported` where pages may lie on the host
   */
  encode(call: GpuCall, layer: number, tensors: StepTensors, keeps = false): GpuMask | undefined {
    const attention = this.#layer(layer);
    this.#refuseOffload();
    const step = this.#steps?.[layer];
    if (!step) return attention.encodeChunk(call, tensors, this.tokens, keeps);
    attention.encodeStep(call, tensors, step, this.#parts.uniforms[layer]!);
    return keeps ? attention.copyMask(call, step) : undefined;
  }

  /**
   * Adds a layer's passes for steps of several sessions of one pool, whose rows lie in the same tensors. What attends exactly takes two
   * dispatches for all of them together; the result is what {@link encode} of each gives.
   *
   * @throws HipError `invalid-shape`, `invalid-config` for a turn of several tokens, `unsupported` where pages may lie on the host
   */
  static encodeTogether(call: GpuCall, layer: number, turns: readonly ModelTurn[], tensors: StepTensors): void {
    const steps = turns.map((turn) => {
      const attention = turn.#layer(layer);
      const step = turn.#steps?.[layer];
      if (!step)
        throw new HipError('invalid-config', `a turn adds ${turn.tokens} tokens: only steps of one go together`, {
          name: 'turns',
          value: turn.tokens,
        });
      turn.#refuseOffload();
      return { attention, step, uniforms: turn.#parts.uniforms[layer]! };
    });
    LayerAttention.encodeStepsTogether(call, tensors, steps);
  }

  /** Submits a call with passes of this turn. What the GPU refuses of it, now or later, ends the conversation in words. */
  submit(call: GpuCall | PreparedCall, timer?: Timer): void {
    this.#checkOpen();
    this.watch(() => call.submit(timer));
  }

  /**
   * Submits a layer by itself: with pages on the host there is a readback in the middle of a step that searches. What the layer reads must
   * have been submitted before.
   *
   * @returns see {@link encode}
   * @throws HipError `out-of-memory` when the pages that are needed at once do not fit the device
   */
  async run(layer: number, tensors: StepTensors, timer?: Timer, keeps = false): Promise<GpuMask | undefined> {
    const attention = this.#layer(layer);
    const submit = <T>(encode: (call: GpuCall) => T): T =>
      this.watch(() => {
        using call = new GpuCall(this.#parts.context);
        const result = encode(call);
        call.submit(timer);
        return result;
      });
    if (!this.offloaded) return submit((call) => this.encode(call, layer, tensors, keeps));
    const step = this.#steps?.[layer];
    if (step) {
      const uniforms = this.#parts.uniforms[layer]!;
      await runOffloadedStep(attention, step, {
        tensors,
        timer,
        scratch: attention.scratch,
        submit: (part, views) => submit((call) => attention.encodeStep(call, tensors, step, uniforms, part, views)),
      });
      return keeps ? submit((call) => attention.copyMask(call, step)) : undefined;
    }
    const room = await this.open(layer);
    const mask = submit((call) => room.encode(call, tensors, this.tokens, keeps));
    await room.close();
    return mask;
  }

  /**
   * With pages on the host, and a turn of several tokens: a layer whose rows are added in chunks of any length, so that its pages travel
   * once for all of them. One layer is open at a time; once it is closed the next may be opened, while its pages are still on their way.
   *
   * @throws HipError `unsupported` for other turns, `device-lost`
   *
   * @example
   * ```ts
   * using turn = session.begin(65536);
   * const saved = [];
   * for (const layer of layers.keys()) {
   *   const room = await turn.open(layer);
   *   for (let row = 0; row < 65536; row += 4096) {
   *     using call = new GpuCall(context);
   *     room.encode(call, tensors[row], 4096); // between the layer's other passes
   *     turn.submit(call);
   *   }
   *   saved.push(room.close());
   * }
   * await Promise.all(saved);
   * turn.commit();
   * ```
   */
  async open(layer: number): Promise<LayerRoom> {
    const attention = this.#layer(layer);
    if (!this.offloaded || this.#steps)
      throw new HipError('unsupported', 'only chunks whose pages may lie on the host are read layer by layer', {
        offload: this.offloaded,
        tokens: this.tokens,
      });
    const room = new LayerRoom(attention, attention.scratch, this.tokens);
    await room.load();
    return room;
  }

  /** The tokens count from now on. */
  commit(): void {
    this.#checkOpen();
    this.#close();
    for (const { cache } of this.#parts.layers) cache.advance(this.tokens);
  }

  /** Leaves every layer as it was before the turn; nothing after {@link commit}. */
  rollback(): void {
    if (!this.#open) return;
    this.#close();
    this.#parts.undo();
  }

  [Symbol.dispose](): void {
    this.rollback();
  }

  #beginSteps(): LayerStep[] {
    const { layers, uniforms, row, context } = this.#parts;
    const steps = layers.map((layer) => layer.beginStep(row));
    const late = layers.flatMap((layer, i) => (isBehind(layer, steps[i]!) ? [[layer, steps[i]!] as const] : []));
    if (late.length > 0) {
      this.watch(() => {
        using call = new GpuCall(context);
        for (const [layer, step] of late) catchUp(call, layer, step);
        call.submit();
      });
    }
    // Equal layers share uniforms: they stand where the first of them stands.
    new Set(uniforms).forEach((each) => each.write(steps[uniforms.indexOf(each)]!.moment));
    for (const step of steps) noteSummaries(step);
    return steps;
  }

  /** Runs `action`: what the GPU refuses of what it submits, now or later, ends the conversation in words. */
  watch<T>(action: () => T): T {
    const { context, layers } = this.#parts;
    return context.watch((error) => layers.forEach(({ cache }) => cache.fail(error)), action);
  }

  #layer(index: number): LayerAttention {
    this.#checkOpen();
    const layer = this.#parts.layers[index];
    if (layer) return layer;
    const count = this.#parts.layers.length;
    throw new HipError('invalid-config', `layer is ${index}: give an integer from 0 to ${count - 1}`, {
      name: 'layer',
      value: index,
    });
  }

  #refuseOffload(): void {
    if (this.offloaded)
      throw new HipError('unsupported', 'pages of this pool may lie on the host: await run() for each layer', {
        offload: true,
      });
  }

  #checkOpen(): void {
    if (!this.#open) throw new HipError('internal', 'this turn is over: begin another', { open: false });
  }

  #close(): void {
    this.#open = false;
    this.#parts.done();
  }
}
