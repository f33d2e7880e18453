// Steps of several conversations in one submit: products of all rows together, each conversation's attention between them.
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

/** Temperatures whose last passes stay bound. */
const MOST_HEADS = 16;

/** What a step gives: logits [vocabulary], the likeliest tokens, nothing. */
export type StepResult = Float32Array | Candidates | undefined;

export class Batch {
  readonly #model: WebgpuModel;
  readonly #heads = new Map<number, PreparedCall>();
  /** By rows and temperature. */
  readonly #tops = new Map<string, { readonly call: PreparedCall; readonly out: GPUBuffer }>();

  constructor(model: WebgpuModel) {
    this.#model = model;
  }

  /** Makes a step for each job, at most {@link MOST_TOGETHER}, and settles all of them. */
  async run(jobs: readonly Job[]): Promise<void> {
    const turns: { readonly job: Job; readonly turn: ModelTurn }[] = [];
    for (const job of jobs) {
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
    const { context, config, steps, decoder, shapes } = model;
    const rows = turns.length;
    const tokens = turns.map(({ job }): PlacedToken => ({
      id: job.id,
      position: job.position,
      total: job.position + 1,
    }));
    const attention = turns.map(({ job, turn }) =>
      model.attentionOf(job.session, turn.phase ?? '', () =>
        shapes.map((_, layer) =>
          prepared(context, (call) => turn.encode(call, layer, decoder.attention(steps, layer, MOST_TOGETHER))),
        ),
      ),
    );
    const body = model.bodies.of(steps, rows);
    const parts: PreparedCall[] = [body.embed];
    for (const layer of shapes.keys()) {
      parts.push(body.before[layer]!, ...attention.map((calls) => calls[layer]!), body.after[layer]!);
    }
    const wants = turns.map(({ job }) => job.want);
    const temperatures = [...new Set(wants.flatMap((want) => (want.kind === 'candidates' ? [want.temperature] : [])))];
    if (wants.some(({ kind }) => kind !== 'none')) parts.push(this.#head(rows));
    const tops = temperatures.map((temperature) => this.#top(rows, temperature));
    parts.push(...tops.map(({ call }) => call));
    const options = { rows, vocabulary: config.vocabSize, count: CANDIDATES };
    const topSize = topBytes(options);
    const rowBytes = 4 * config.vocabSize;
    const logitRows = wants.flatMap(({ kind }, row) => (kind === 'logits' ? [row] : []));
    const size = topSize * tops.length + rowBytes * logitRows.length;
    writeTokens(context, config, steps, tokens);
    let staging: Staging | undefined;
    let copies: PreparedCall | undefined;
    if (size > 0) {
      const taken = (staging = model.readback.take(size));
      copies = prepared(context, (call) => {
        for (const [i, { out }] of tops.entries()) copyOut(call, { buffer: out }, taken, i * topSize, topSize);
        for (const [i, row] of logitRows.entries()) {
          const from = { buffer: steps.tensors.logits.buffer, offset: row * rowBytes };
          copyOut(call, from, taken, tops.length * topSize + i * rowBytes, rowBytes);
        }
      });
      parts.push(copies);
    }
    const submit = turns.reduce<() => void>(
      (action, { turn }) =>
        () =>
          turn.watch(action),
      () => submitTogether(parts, model.timer),
    );
    submit();
    copies?.release();
    if (!staging) return turns.map(() => undefined);
    const bytes = await staging.read(size);
    const read = temperatures.map((_, i) => readTop(bytes.slice(i * topSize, (i + 1) * topSize), options));
    return wants.map((want, row): StepResult | Error => {
      const { position } = tokens[row]!;
      if (want.kind === 'none') return undefined;
      if (want.kind === 'candidates') {
        const found = read[temperatures.indexOf(want.temperature)]![row]!;
        return found.nonFinite > 0 ? nonFinite(position) : candidatesFrom(found, config.vocabSize, want.temperature);
      }
      const at = tops.length * topSize + logitRows.indexOf(row) * rowBytes;
      const logits = new Float32Array(bytes.slice(at, at + rowBytes));
      return logits.every(Number.isFinite) ? logits : nonFinite(position);
    });
  }

  #head(rows: number): PreparedCall {
    const { context, decoder, steps } = this.#model;
    const { hidden, logits } = steps.tensors;
    return kept(this.#heads, rows, () => prepared(context, (call) => decoder.head(call, hidden, logits, rows)));
  }

  #top(rows: number, temperature: number): { readonly call: PreparedCall; readonly out: GPUBuffer } {
    const { context, steps, config } = this.#model;
    const key = `${rows}/${temperature}`;
    const made = kept(this.#tops, key, () => {
      const options = { rows, vocabulary: config.vocabSize, count: CANDIDATES, temperature };
      let out: GPUBuffer | undefined;
      const call = prepared(context, (target) => {
        out = target.scratch(topBytes(options), 'candidates');
        encodeTop(target, { logits: steps.tensors.logits, out: { buffer: out } }, options);
      });
      return { call, out: out! };
    });
    const [oldest] = this.#tops.keys();
    if (this.#tops.size > MOST_HEADS && oldest !== undefined && oldest !== key) {
      this.#tops.get(oldest)!.call.release();
      this.#tops.delete(oldest);
    }
    return made;
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
