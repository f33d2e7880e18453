// Steps without what surrounds them: how long the host encodes one, and how long the GPU takes then.
import { GpuCall, submitTogether, type PreparedCall } from '@hip/kernels-webgpu';
import type { WebgpuEngine } from '../../../packages/llm/src/engine/webgpu/engine.ts';
import { writeRun, writeTokens } from '../../../packages/llm/src/engine/webgpu/positions.ts';
import { median } from './measure.ts';

export interface RawStep {
  readonly conversations: number;
  /** Submits of a step. */
  readonly submits: number;
  readonly encodeMs: number;
  /** From the last submit to the end. */
  readonly restMs: number;
  readonly totalMs: number;
  /** Of steps one after another that nobody waits for. */
  readonly queuedMs: number;
}

/** Medians of steps of so many conversations that hold `ids` each, with a step's layers in several submits. */
export async function rawSteps(
  engine: WebgpuEngine,
  ids: Int32Array,
  counts: readonly number[],
  submits: readonly number[],
): Promise<readonly RawStep[]> {
  const { model } = engine;
  const { context, chunk, steps, decoder, shapes, pool } = model;
  const sessions = Array.from({ length: Math.max(...counts) }, () => {
    const session = pool.createSession();
    for (let at = 0; at < ids.length; at += chunk.rows) {
      const part = ids.subarray(at, at + chunk.rows);
      writeRun(context, model.config, chunk, { ids: part, first: at, total: ids.length });
      const turn = session.begin(part.length);
      using call = new GpuCall(context);
      decoder.embed(call, chunk, part.length);
      for (const layer of shapes.keys()) {
        call.section(() => decoder.before(call, chunk, layer, part.length));
        turn.encode(call, layer, decoder.attention(chunk, layer, part.length));
        call.section(() => decoder.after(call, chunk, layer, part.length));
      }
      turn.submit(call);
      turn.commit();
    }
    return session;
  });
  await context.device.queue.onSubmittedWorkDone();
  const rows: RawStep[] = [];
  for (const count of counts) {
    const turns = sessions.slice(0, count).map((session, row) => ({ session, turn: session.begin(1, { row }) }));
    writeTokens(
      context,
      model.config,
      steps,
      turns.map((_, i) => ({ id: i, position: ids.length, total: ids.length + 1 })),
    );
    const body = model.bodies.of(steps, count);
    const attention = model.attention.of(turns);
    using head = new GpuCall(context);
    decoder.head(head, steps.tensors.hidden, steps.tensors.logits, count);
    const last = head.prepare();
    const layers = [...shapes.keys()].map((layer) => [body.before[layer]!, attention[layer]!, body.after[layer]!]);
    for (const parts of submits) {
      const size = Math.ceil(layers.length / parts);
      const groups: PreparedCall[][] = [];
      for (let at = 0; at < layers.length; at += size) groups.push(layers.slice(at, at + size).flat());
      groups[0]!.unshift(body.embed);
      groups.at(-1)!.push(last);
      const submit = (): void => groups.forEach((group) => submitTogether(group));
      const done = (): Promise<unknown> => context.device.queue.onSubmittedWorkDone();
      const times: { readonly encode: number; readonly rest: number }[] = [];
      for (let i = 0; i < 60; i++) {
        const start = performance.now();
        submit();
        const encoded = performance.now();
        await done();
        if (i >= 20) times.push({ encode: encoded - start, rest: performance.now() - encoded });
      }
      const start = performance.now();
      for (let i = 0; i < 40; i++) submit();
      await done();
      const queued = (performance.now() - start) / 40;
      const [encodeMs, restMs] = [median(times.map(({ encode }) => encode)), median(times.map(({ rest }) => rest))];
      const totalMs = median(times.map(({ encode, rest }) => encode + rest));
      rows.push({ conversations: count, submits: parts, encodeMs, restMs, totalMs, queuedMs: queued });
    }
    last.release();
    for (const { turn } of turns) turn.rollback();
  }
  for (const session of sessions) session.dispose();
  return rows;
}
