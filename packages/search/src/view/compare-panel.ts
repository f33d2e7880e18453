// Two trials side by side: what was measured and by how much it differs, and every variable, those that differ first.
import { shortNumber } from '../report/format.ts';
import type { StudyView, ViewTrial } from './data.ts';
import { panel, type Maker, type Panel } from './dom.ts';
import { objectiveLabel, shownValue } from './label.ts';

export interface ComparePanel extends Panel {
  show(view: StudyView, chosen: readonly number[]): void;
}

function difference(a: number | undefined, b: number | undefined): string {
  if (a === undefined || b === undefined) return '';
  const change = b - a;
  const share = a === 0 ? '' : ` (${change > 0 ? '+' : ''}${((100 * change) / Math.abs(a)).toFixed(1)} %)`;
  return `${change > 0 ? '+' : ''}${shortNumber(change)}${share}`;
}

export function comparePanel(make: Maker): ComparePanel {
  const parts = panel(make, 'Compare two trials', 'compare');
  const line = (name: string, cells: readonly string[], differs: boolean): HTMLElement =>
    make(
      'tr',
      { class: differs ? 'differs' : undefined },
      make('th', { scope: 'row' }, name),
      ...cells.map((cell) => make('td', {}, cell)),
    );

  function table(view: StudyView, a: ViewTrial, b: ViewTrial): HTMLElement {
    const names = [...new Set([...Object.keys(a.objectives), ...Object.keys(b.objectives)])];
    const measured = names.map((name) => {
      const objective = view.objectives.find((each) => each.name === name);
      const [x, y] = [a.objectives[name], b.objectives[name]];
      const cell = (trial: ViewTrial) => {
        const error = trial.standardErrors?.[name];
        return `${shortNumber(trial.objectives[name])}${error === undefined ? '' : ` ± ${shortNumber(error)}`}`;
      };
      return line(objective ? objectiveLabel(objective) : name, [cell(a), cell(b), difference(x, y)], x !== y);
    });
    const variables = view.variables.map(({ name }) => {
      const [x, y] = [shownValue(a.values[name]), shownValue(b.values[name])];
      return { differs: x !== y, element: line(name, [x, y, ''], x !== y) };
    });
    const sorted = [...variables.filter(({ differs }) => differs), ...variables.filter(({ differs }) => !differs)];
    const head = ['', `trial ${a.number}`, `trial ${b.number}`, 'difference'];
    return make(
      'table',
      {},
      make(
        'caption',
        {},
        `${variables.filter(({ differs }) => differs).length} of ${variables.length} variables differ`,
      ),
      make('thead', {}, make('tr', {}, ...head.map((text) => make('th', { scope: 'col' }, text)))),
      make('tbody', {}, ...measured, ...sorted.map(({ element }) => element)),
    );
  }

  return {
    ...parts,
    show(view, chosen) {
      const [a, b] = chosen.map((number) => view.trials.find((trial) => trial.number === number));
      parts.body.replaceChildren(
        a && b
          ? make('div', { class: 'scroll', tabindex: 0, role: 'group', 'aria-label': 'Comparison' }, table(view, a, b))
          : make('p', {}, 'Choose two trials: their boxes in the table, or their points on the front.'),
      );
    },
  };
}
