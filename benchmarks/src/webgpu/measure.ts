// GPU time of passes and wall time of submits.
import { Timer, type GpuContext } from '@hip/kernels-webgpu';
import { median } from '../benchmark.ts';

/** What one kind of call took. */
export interface Measured {
  /** Median over the runs of the sum of all passes' GPU times. */
  readonly gpuMs: number;
  /** Wall time per call when several are submitted one after another. */
  readonly wallMs: number;
  /** Median GPU time by label. */
  readonly passes: Readonly<Record<string, number>>;
}

/**
 * Runs `submit` a few times timed by timestamps, then a few times by the clock.
 *
 * @param options.warmMs milliseconds of calls first, so that a GPU that idled has its clocks up
 * @param submit one call; the timer is absent in the runs that are timed by the clock
 */
export async function measure(
  context: GpuContext,
  submit: (timer?: Timer) => void,
  { runs = 5, wallRuns = 5, passes = 2048, warmMs = 0 } = {},
): Promise<Measured> {
  submit();
  await context.device.queue.onSubmittedWorkDone();
  await context.settled();
  for (const begun = performance.now(); performance.now() - begun < warmMs;) {
    submit();
    await context.device.queue.onSubmittedWorkDone();
  }
  const timer = new Timer(context, passes);
  const totals: number[] = [];
  const byLabel = new Map<string, number[]>();
  for (let run = 0; run < runs; run++) {
    submit(timer);
    const sums = new Map<string, number>();
    for (const { label, milliseconds } of await timer.read()) sums.set(label, (sums.get(label) ?? 0) + milliseconds);
    for (const [label, sum] of sums) byLabel.set(label, [...(byLabel.get(label) ?? []), sum]);
    totals.push([...sums.values()].reduce((total, sum) => total + sum, 0));
  }
  timer.destroy();
  const start = performance.now();
  for (let run = 0; run < wallRuns; run++) submit();
  await context.device.queue.onSubmittedWorkDone();
  const wallMs = (performance.now() - start) / wallRuns;
  return {
    gpuMs: median(totals),
    wallMs,
    passes: Object.fromEntries([...byLabel].map(([label, times]) => [label, median(times)])),
  };
}
