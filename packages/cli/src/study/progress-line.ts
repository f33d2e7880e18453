// The live line: evaluations, hypervolume, front, ETA. On a terminal it is redrawn, in a log it is one line a few seconds.
import { Presets, SingleBar } from 'cli-progress';
import { shortNumber, type SearchProgress } from '@instatune/search';

function duration(ms: number | undefined): string {
  if (ms === undefined) return '…';
  const seconds = Math.round(ms / 1000);
  if (seconds < 60) return `${seconds}s`;
  const minutes = Math.floor(seconds / 60);
  return minutes < 60
    ? `${minutes}m${String(seconds % 60).padStart(2, '0')}s`
    : `${Math.floor(minutes / 60)}h${String(minutes % 60).padStart(2, '0')}m`;
}

export interface ProgressLine {
  update(progress: SearchProgress): void;
  stop(): void;
}

export function progressLine(): ProgressLine {
  const bar = new SingleBar(
    {
      format:
        '{bar} {value}/{total} evaluations | round {round} {phase} | hypervolume {volume} | front {front} | {elapsed} | ETA {left}',
      barsize: 24,
      stream: process.stderr,
      noTTYOutput: true,
      notTTYSchedule: 5000,
      hideCursor: true,
    },
    Presets.shades_classic,
  );
  let started = false;
  return {
    update({ phase, round, evaluations, budget, hypervolume, frontSize, elapsedMs, etaMs }) {
      const payload = {
        phase,
        round,
        volume: hypervolume === undefined ? '…' : shortNumber(hypervolume),
        front: frontSize,
        elapsed: duration(elapsedMs),
        left: duration(etaMs),
      };
      if (started) bar.update(evaluations, payload);
      else bar.start(budget, evaluations, payload);
      started = true;
    },
    stop() {
      if (started) bar.stop();
    },
  };
}
