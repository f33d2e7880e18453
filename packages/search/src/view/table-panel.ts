// The table of trials: filter, sort by any column, two trials chosen to compare, rows as CSV.
import type { StudyView, ViewTrial } from './data.ts';
import { panel, type Maker, type Panel } from './dom.ts';
import { shownValue } from './label.ts';
import { columnsOf, rowsOf, rowsToCsv, type ViewColumn } from './rows.ts';

/** Rows that are made at once: ten thousand would take a page its breath. */
const ROWS = 50;

export interface TablePanel extends Panel {
  show(view: StudyView, chosen: readonly number[]): void;
}

export function tablePanel(make: Maker, onChoose: (trial: number) => void): TablePanel {
  const parts = panel(make, 'Trials', 'table');
  const filter = make('input', { type: 'search', placeholder: 'accuracy >= 0.9, gelu', size: 28 });
  const frontOnly = make('input', { type: 'checkbox' });
  const status = make('span', { role: 'status' });
  const save = make('button', { type: 'button' }, 'Download CSV');
  const state = { sort: 'trial', descending: false, most: ROWS };
  let shown: { readonly view: StudyView; readonly chosen: readonly number[] } | undefined;

  const heading = ({ name, label }: ViewColumn): HTMLElement => {
    const button = make('button', { type: 'button', 'data-column': name }, label);
    button.addEventListener('click', () => {
      Object.assign(state, { sort: name, descending: name === state.sort && !state.descending });
      render();
      // The button was made anew: the keyboard stays where it was.
      for (const other of parts.body.querySelectorAll<HTMLElement>('th button'))
        if (other.dataset['column'] === name) other.focus();
    });
    const sorted = name === state.sort ? (state.descending ? 'descending' : 'ascending') : 'none';
    return make('th', { scope: 'col', 'aria-sort': sorted }, button);
  };

  const row = (trial: ViewTrial, columns: readonly ViewColumn[], front: boolean, chosen: boolean): HTMLElement => {
    const box = make('input', { type: 'checkbox', checked: chosen, 'aria-label': `compare trial ${trial.number}` });
    box.addEventListener('change', () => {
      onChoose(trial.number);
      for (const other of parts.body.querySelectorAll<HTMLElement>('input[type=checkbox]'))
        if (other.getAttribute('aria-label') === `compare trial ${trial.number}`) other.focus();
    });
    const cells = columns.map((column) => make('td', {}, shownValue(column.value(trial))));
    return make('tr', { class: front ? 'front' : undefined }, make('td', {}, box), ...cells);
  };

  const found = () => shown && rowsOf(shown.view, { filter: filter.value, frontOnly: frontOnly.checked, ...state });

  function render(): void {
    const rows = found();
    if (!shown || !rows) return;
    const { view, chosen } = shown;
    status.textContent = rows.problem ?? `${rows.trials.length} of ${view.trials.length} trials`;
    const columns = columnsOf(view);
    const table = make(
      'table',
      {},
      make('caption', {}, 'Every trial; numbers of the front in colour'),
      make('thead', {}, make('tr', {}, make('th', { scope: 'col' }, 'compare'), ...columns.map(heading))),
      make(
        'tbody',
        {},
        ...rows.trials
          .slice(0, state.most)
          .map((trial) => row(trial, columns, rows.front.has(trial.number), chosen.includes(trial.number))),
      ),
    );
    const scroll = make('div', { class: 'scroll', tabindex: 0, role: 'group', 'aria-label': 'Table of trials' }, table);
    const before = parts.body.querySelector('.scroll');
    const [top, left] = [before?.scrollTop ?? 0, before?.scrollLeft ?? 0];
    parts.body.replaceChildren(scroll);
    // Even 0 would have the new table laid out at once.
    if (top > 0 || left > 0) Object.assign(scroll, { scrollTop: top, scrollLeft: left });
    if (rows.trials.length <= state.most) return;
    const more = make('button', { type: 'button' }, `Show ${Math.min(ROWS, rows.trials.length - state.most)} more`);
    more.addEventListener('click', () => {
      state.most += ROWS;
      render();
    });
    parts.body.append(more);
  }

  filter.addEventListener('input', () => {
    state.most = ROWS;
    render();
  });
  frontOnly.addEventListener('change', render);
  save.addEventListener('click', () => {
    const rows = found();
    if (!shown || !rows) return;
    const address = URL.createObjectURL(new Blob([rowsToCsv(shown.view, rows.trials)], { type: 'text/csv' }));
    const link = make('a', { href: address, download: `${shown.view.name}.csv` });
    link.click();
    // The download has begun by then, or never will.
    setTimeout(() => URL.revokeObjectURL(address), 10_000);
  });
  parts.controls.append(
    make('label', {}, 'Filter ', filter),
    make('label', {}, frontOnly, ' front only'),
    save,
    status,
  );
  return {
    ...parts,
    show(view, chosen) {
      shown = { view, chosen };
      render();
    },
  };
}
