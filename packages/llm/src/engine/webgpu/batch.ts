// Steps of several conversations together: products of all rows together, each conversation's attention between them.
import { GpuCall, submitTogether, type ModelTurn, type PreparedCall } from '@hip/kernels-webgpu';
import { encodeTop, readTop, topBytes } from '@hip/kernels-webgpu/model';
import type { Candidates } from '@hip/checkpoints/generation';
import { CANDIDATES, nonFinite } from '../checks.ts';
import { candidatesFrom } from './candidates.ts';
import type { WebgpuModel } from './model.ts';
import { writeTokens, type PlacedToken } from './positions.ts';
import { copyOut, type Staging } from './readback.ts';
import type { Job } from './scheduler.ts';

/** Conversations that step together: as many rows as the products' row kernels take. */
export const MOST_TOGETHER = 8;

/** Submits of a step of a deep model: the GPU computes the first layers while the host encodes the next. */
const SUBMITS = 4;
/** Layers of such a submit at least. */
const LEAST_LAYERS = 4;

/** What a step gives: logits [vocabulary], the likeliest tokens, nothing. */
export type StepResult = Float32Array | Candidates | undefined;

export class Batch {
  readonly #model: WebgpuModel;
  readonly #heads = new Map<number, PreparedCall>();
  readonly #tops = new Map<number, { readonly call: PreparedCall; readonly out: GPUBuffer }>();
  /** 1 / temperature by row. */
  readonly #inverse: GPUBuffer;

  constructor(model: WebgpuModel) {
    this.#model = model;
    this.#inverse = model.context.pool.take(4 * MOST_TOGETHER, 0x80 | 0x08 | 0x04, 'inverse temperatures'); // STORAGE | COPY_DST | COPY_SRC
  }

  /** Makes a step for each job, at most {@link MOST_TOGETHER}, and settles all of them. */
  async run(jobs: readonly Job[]): Promise<void> {
    const turns: { readonly job: Job; readonly turn: ModelTurn }[] = [];
    const { attention } = this.#model;
    // In one order, so that passes which were bound for this group serve again.
    const ordered = jobs.toSorted((a, b) => attention.numberOf(a.session) - attention.numberOf(b.session));
    for (const job of ordered) {
      try {
        job.check();
        turns.push({ job, turn: job.session.begin(1, { row: turns.length }) });
      } catch (error) {
        job.reject(error);
      }
    }
    if (turns.length === 0) return;
    try {
      const results = await this.#step(turns);
      for (const [i, { job, turn }] of turns.entries()) {
        const result = results[i];
        if (result instanceof Error) {
          turn.rollback();
          job.reject(result);
        } else {
          turn.commit();
          if (turn.offloaded) await job.session.settle();
          job.resolve(result);
        }
      }
    } catch (error) {
      for (const { job, turn } of turns) {
        turn.rollback();
        job.reject(error);
      }
    }
  }

  /** What each turn's row gives, or why it gives nothing. */
  async #step(turns: readonly { readonly job: Job; readonly turn: ModelTurn }[]): Promise<(StepResult | Error)[]> {
    const model = this.#model;
    const { context, config, steps, shapes } = model;
    const rows = turns.length;
    const tokens = turns.map(({ job }): PlacedToken => ({
      id: job.id,
      position: job.position,
      total: job.position + 1,
    }));
    writeTokens(context, config, steps, tokens);
    const watched = (action: () => void): void =>
      turns.reduce<() => void>(
        (inner, { turn }) =>
          () =>
            turn.watch(inner),
        action,
      )();
    const body = model.bodies.of(steps, rows);
    const parts: PreparedCall[] = [body.embed];
    if (model.options.offload === undefined) {
      const attention = model.attention.of(turns.map(({ job, turn }) => ({ session: job.session, turn })));
      const size = Math.max(LEAST_LAYERS, Math.ceil(shapes.length / SUBMITS));
      for (const layer of shapes.keys()) {
        parts.push(body.before[layer]!, attention[layer]!, body.after[layer]!);
        if ((layer + 1) % size > 0 || layer + 1 === shapes.length) continue;
        const ready = parts.splice(0);
        watched(() => submitTogether(ready, model.timer));
      }
    } else {
      // Which pages a layer wants is known when its queries are.
      for (const layer of shapes.keys()) {
        const ready = [...parts.splice(0), body.before[layer]!];
        watched(() => submitTogether(ready, model.timer));
        for (const { turn } of turns)
          await turn.run(layer, model.decoder.attention(steps, layer, steps.rows), model.timer);
        parts.push(body.after[layer]!);
      }
    }
    const wants = turns.map(({ job }) => job.want);
    const isNarrow = wants.some(({ kind }) => kind === 'candidates');
    if (wants.some(({ kind }) => kind !== 'none')) parts.push(this.#head(rows));
    const top = isNarrow ? this.#top(rows) : undefined;
    if (top) {
      const inverse = wants.map((want) => (want.kind === 'candidates' ? 1 / want.temperature : 1));
      context.device.queue.writeBuffer(this.#inverse, 0, Float32Array.from(inverse));
      parts.push(top.call);
    }
    const options = { rows, vocabulary: config.vocabSize, count: CANDIDATES };
    const topSize = top ? topBytes(options) : 0;
    const rowBytes = 4 * config.vocabSize;
    const logitRows = wants.flatMap(({ kind }, row) => (kind === 'logits' ? [row] : []));
    const size = topSize + rowBytes * logitRows.length;
    let staging: Staging | undefined;
    let copies: PreparedCall | undefined;
    if (size > 0) {
      const taken = (staging = model.readback.take(size));
      copies = prepared(context, (call) => {
        if (top) copyOut(call, { buffer: top.out }, taken, 0, topSize);
        for (const [i, row] of logitRows.entries()) {
          const from = { buffer: steps.tensors.logits.buffer, offset: row * rowBytes };
          copyOut(call, from, taken, topSize + i * rowBytes, rowBytes);
        }
      });
      parts.push(copies);
    }
    watched(() => submitTogether(parts, model.timer));
    copies?.release();
    if (!staging) return turns.map(() => undefined);
    const bytes = await staging.read(size);
    const read = top ? readTop(bytes.slice(0, topSize), options) : [];
    return wants.map((want, row): StepResult | Error => {
      const { position } = tokens[row]!;
      if (want.kind === 'none') return undefined;
      if (want.kind === 'candidates') {
        const found = read[row]!;
        return found.nonFinite > 0 ? nonFinite(position) : candidatesFrom(found, config.vocabSize, want.temperature);
      }
      const at = topSize + logitRows.indexOf(row) * rowBytes;
      const logits = new Float32Array(bytes.slice(at, at + rowBytes));
      return logits.every(Number.isFinite) ? logits : nonFinite(position);
    });
  }

  #head(rows: number): PreparedCall {
    const { context, decoder, steps } = this.#model;
    const { hidden, logits } = steps.tensors;
    return kept(this.#heads, rows, () => prepared(context, (call) => decoder.head(call, hidden, logits, rows)));
  }

  #top(rows: number): { readonly call: PreparedCall; readonly out: GPUBuffer } {
    const { context, steps, config } = this.#model;
    return kept(this.#tops, rows, () => {
      const options = { rows, vocabulary: config.vocabSize, count: CANDIDATES };
      let out: GPUBuffer | undefined;
      const call = prepared(context, (target) => {
        out = target.scratch(topBytes(options), 'candidates');
        const inverseTemperatures = { buffer: this.#inverse };
        encodeTop(target, { logits: steps.tensors.logits, out: { buffer: out }, inverseTemperatures }, options);
      });
      return { call, out: out! };
    });
  }
}

function prepared(context: WebgpuModel['context'], add: (call: GpuCall) => void): PreparedCall {
  using call = new GpuCall(context);
  add(call);
  return call.prepare();
}

function kept<Key, Value>(map: Map<Key, Value>, key: Key, make: () => Value): Value {
  let value = map.get(key);
  if (value === undefined) map.set(key, (value = make()));
  return value;
}
