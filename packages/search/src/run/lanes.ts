// Several at a time, and an end that is an end: nothing goes on in the background after it.

/**
 * Works through numbers, `concurrency` at a time. The first failure or an abort stops the others; what is in flight then has ended when this rejects.
 *
 * @throws the signal's reason if aborted, else the first failure
 */
export async function inLanes(
  numbers: readonly number[],
  concurrency: number,
  signal: AbortSignal | undefined,
  work: (number: number, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const queue = [...numbers];
  const stop = new AbortController();
  const combined = signal ? AbortSignal.any([signal, stop.signal]) : stop.signal;
  const lane = async () => {
    for (let number = queue.shift(); number !== undefined && !combined.aborted; number = queue.shift()) {
      try {
        await work(number, combined);
      } catch (error) {
        stop.abort(error);
        throw error;
      }
    }
  };
  const ended = await Promise.allSettled(
    Array.from({ length: Math.max(1, Math.min(concurrency, queue.length)) }, lane),
  );
  signal?.throwIfAborted();
  const rejected = ended.find((end) => end.status === 'rejected');
  if (rejected) throw rejected.reason;
}
