// Lines of a log that say whether recorded passes are right, as soon as a training has begun.
import type { RecordingEvent, RecordingOptions, RecordingStatistics } from '@instatune/supernet';

const mb = (bytes: number) => `${(bytes / 1e6).toFixed(0)} MB`;

/** Options of a training whose recordings are told of; INSTATUNE_RECORDING_GIB says how much memory they may hold. */
export function recordingLog(training: string, log: (line: string) => void): RecordingOptions {
  const gib = process.env['INSTATUNE_RECORDING_GIB'];
  return {
    ...(gib !== undefined && { maxBytes: Number(gib) * 2 ** 30 }),
    onEvent: (event) => log(`${training} recording: ${sayOf(event)}`),
  };
}

function sayOf(event: RecordingEvent): string {
  switch (event.kind) {
    case 'recorded':
      return `a pass of ${event.dispatches} dispatches, ${mb(event.bytes)} in ${event.buffers} buffers so far`;
    case 'checked':
      return `RIGHT: the replay gives tfjs' ${event.tensors} tensors, difference ${event.difference}`;
    case 'full':
      return `FULL: ${mb(event.bytes)} of ${mb(event.maxBytes)}, no more passes are recorded`;
    case 'stopped':
      return event.reason === 'disagreement'
        ? `WRONG by ${event.difference}, goes on without (${event.work})`
        : `STOPPED, ${event.reason}, goes on without: ${event.message}`;
  }
}

/** What became of a training's passes, at its end. */
export function recordingSummary({
  played,
  encoded,
  peakBytes,
  peakBuffers,
  difference,
  stopped,
}: RecordingStatistics): string {
  const why = stopped ? `, stopped: ${stopped}` : '';
  return `recording: ${played} passes played, ${encoded} encoded, at most ${mb(peakBytes)} in ${peakBuffers} buffers, difference ${difference}${why}`;
}
