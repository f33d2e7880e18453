// Steps of one layer's session: bound once for each phase while they read and write the same tensors, submitted again and again.
import type { CacheView } from '../cache/view.ts';
import { GpuCall, type PreparedCall } from '../dispatch/call.ts';
import type { Timer } from '../dispatch/timer.ts';
import type { LayerAttention, LayerStep } from './layer-attention.ts';
import type { StepPart } from './searched-steps.ts';
import { catchUp, isBehind, noteSummaries } from './step-summaries.ts';
import type { StepUniforms } from './step-uniforms.ts';
import { sameTensors, type StepTensors } from './tensors.ts';

export class PreparedSteps implements Disposable {
  readonly #layer: LayerAttention;
  readonly #uniforms: StepUniforms;
  readonly #prepared = new Map<string, PreparedCall>();
  #bound: StepTensors | undefined;

  constructor(layer: LayerAttention) {
    this.#layer = layer;
    this.#uniforms = layer.createUniforms();
  }

  /** Makes room for a token, tells the layer's clock, and writes what the step's passes read. */
  begin(tensors: StepTensors): LayerStep {
    const layer = this.#layer;
    const { cache } = layer;
    cache.reserve(1);
    if (this.#bound && !sameTensors(this.#bound, tensors)) this.#release();
    this.#bound = tensors;
    const step = layer.beginStep(0);
    if (isBehind(layer, step)) {
      using call = new GpuCall(cache.pool.context);
      catchUp(call, layer, step);
      call.submit();
    }
    this.#uniforms.write(step.moment);
    noteSummaries(step);
    return step;
  }

  /** Submits a step that has begun, or its part before or after the first stage that reads keys. */
  run(part: StepPart, step: LayerStep, timer?: Timer, views?: readonly CacheView[]): void {
    const layer = this.#layer;
    const { context } = layer.cache.pool;
    if (views) {
      // Of other sizes the next time.
      using call = new GpuCall(context);
      layer.encodeStep(call, this.#bound!, step, this.#uniforms, part, views);
      call.submit(timer);
      return;
    }
    const name = `${part}/${step.phase}`;
    let prepared = this.#prepared.get(name);
    if (!prepared) {
      using call = new GpuCall(context);
      layer.encodeStep(call, this.#bound!, step, this.#uniforms, part);
      this.#prepared.set(name, (prepared = call.prepare()));
    }
    prepared.submit(timer);
  }

  #release(): void {
    for (const prepared of this.#prepared.values()) prepared.release();
    this.#prepared.clear();
  }

  [Symbol.dispose](): void {
    this.#release();
    this.#uniforms[Symbol.dispose]();
  }
}
