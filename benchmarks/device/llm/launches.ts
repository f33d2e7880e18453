// What a dispatch costs that does next to nothing, each waiting for the one before: in a row, and timed by itself.
import { emptyTensor, GpuCall, Timer, type GpuContext } from '@hip/kernels-webgpu';
import { encodeAddScaled } from '@hip/kernels-webgpu/model';
import { median } from './measure.ts';

/** Microseconds a dispatch, on the GPU. */
export async function launchCost(
  context: GpuContext,
): Promise<{ readonly queuedUs: number; readonly timedUs: number }> {
  const count = 256;
  const [x, out] = [1, 2].map(() => emptyTensor({ context, type: 'f32', length: 64 }));
  using call = new GpuCall(context);
  for (let i = 0; i < count; i++) encodeAddScaled(call, { x: x!, out: out! }, { length: 64 });
  const prepared = call.prepare();
  const done = (): Promise<unknown> => context.device.queue.onSubmittedWorkDone();
  const queued: number[] = [];
  for (let i = 0; i < 12; i++) {
    // The host encodes one while the GPU runs the one before: several in a row are bound by the slower of the two.
    const start = performance.now();
    for (let j = 0; j < 8; j++) prepared.submit();
    await done();
    queued.push((1000 * (performance.now() - start)) / (8 * count));
  }
  const timer = new Timer(context, 2 * count);
  prepared.submit(timer);
  const timed = (await timer.read()).map(({ milliseconds }) => 1000 * milliseconds);
  timer.destroy();
  prepared.release();
  for (const { buffer } of [x!, out!]) buffer.destroy();
  return { queuedUs: median(queued.slice(4)), timedUs: median(timed) };
}
