// A study in one line.
import type { StudyView } from './data.ts';
import { viewFront } from './front.ts';

/** How it was searched, how many trials ended how, and what is demanded. */
export function summaryOf(view: StudyView): string {
  const { tactic, seed, trials, constraints } = view;
  const count = (state: string) => trials.filter((trial) => trial.state === state).length;
  return [
    ...(tactic === undefined ? [] : [`tactic ${tactic}`]),
    ...(seed === undefined ? [] : [`seed ${seed}`]),
    `${count('complete')} measured`,
    ...(count('failed') > 0 ? [`${count('failed')} failed`] : []),
    ...(count('running') > 0 ? [`${count('running')} running`] : []),
    `${viewFront(view).length} on the front`,
    ...constraints.map(({ text }) => text),
  ].join(', ');
}
