// The live line of a run: stage, its steps, what it found, time left of the stage and of all. In a log, a line now and then.
import { Presets, SingleBar } from 'cli-progress';
import { duration } from '../report/numbers.ts';
import { STAGES, STAGE_TITLES, type Stage, type TuneProgress } from '../steps/stages.ts';

/** Milliseconds between two lines of a log. */
const LOG_EVERY = 15_000;

export interface RunLine {
  update(progress: TuneProgress): void;
  stop(): void;
}

/** @param planned seconds of each stage, where they are known: for the time that all of it takes */
export function runLine(planned: Readonly<Partial<Record<Stage, number>>> = {}): RunLine {
  let bar: SingleBar | undefined;
  let current: Stage | undefined;
  const stop = () => bar?.stop();
  return {
    update({ stage, done, total, eta, note }) {
      const after = STAGES.slice(STAGES.indexOf(stage) + 1).reduce((sum, each) => sum + (planned[each] ?? 0), 0);
      const left = eta ?? Math.max(0, (planned[stage] ?? 0) * (total > 0 ? 1 - done / total : 1));
      const payload = {
        note: note === undefined ? '' : ` | ${note}`,
        left: eta === undefined && planned[stage] === undefined ? '…' : duration(left),
        all: Object.keys(planned).length === 0 ? '' : ` | all ETA ${duration(left + after)}`,
        counts: total > 0 ? ` ${done}/${total}` : '',
      };
      if (stage !== current) {
        stop();
        current = stage;
        bar = new SingleBar(
          {
            format: `[${STAGES.indexOf(stage) + 1}/${STAGES.length}] ${STAGE_TITLES[stage]} {bar}{counts}{note} | ETA {left}{all}`,
            barsize: 20,
            stream: process.stderr,
            noTTYOutput: true,
            notTTYSchedule: LOG_EVERY,
            hideCursor: true,
          },
          Presets.shades_classic,
        );
        bar.start(Math.max(1, total), done, payload);
      } else {
        bar!.setTotal(Math.max(1, total));
        bar!.update(done, payload);
      }
    },
    stop,
  };
}
