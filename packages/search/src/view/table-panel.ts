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
  /** Of the rows that are made, by trial. */
  const boxes = new Map<number, HTMLInputElement>();

  const heading = ({ name, label }: ViewColumn): HTMLElement => {
    const button = make('button', { type: 'button', 'data-place': `column ${name}` }, label);
    button.addEventListener('click', () => {
      Object.assign(state, { sort: name, descending: name === state.sort && !state.descending });
      render();
    });
    const sorted = name === state.sort ? (state.descending ? 'descending' : 'ascending') : 'none';
    return make('th', { scope: 'col', 'aria-sort': sorted }, button);
  };

  const row = (trial: ViewTrial, columns: readonly ViewColumn[], front: boolean, chosen: boolean): HTMLElement => {
    const name = `compare trial ${trial.number}`;
    const box = make('input', { type: 'checkbox', checked: chosen, 'aria-label': name, 'data-place': name });
    boxes.set(trial.number, box);
    box.addEventListener('change', () => onChoose(trial.number));
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
    const active = parts.body.ownerDocument.activeElement;
    const place = active && parts.body.contains(active) ? active.getAttribute('data-place') : null;
    boxes.clear();
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
    const scroll = make(
      'div',
      { class: 'scroll', tabindex: 0, role: 'group', 'aria-label': 'Table of trials', 'data-place': 'table' },
      table,
    );
    const before = parts.body.querySelector('.scroll');
    const [top, left] = [before?.scrollTop ?? 0, before?.scrollLeft ?? 0];
    parts.body.replaceChildren(scroll);
    // Even 0 would have the new table laid out at once.
    if (top > 0 || left > 0) Object.assign(scroll, { scrollTop: top, scrollLeft: left });
    if (rows.trials.length > state.most) parts.body.append(moreButton(rows.trials.length - state.most));
    if (place !== null) find(place)?.focus({ preventScroll: true });
  }

  function moreButton(left: number): HTMLElement {
    const more = make('button', { type: 'button', 'data-place': 'more' }, `Show ${Math.min(ROWS, left)} more`);
    more.addEventListener('click', () => {
      state.most += ROWS;
      render();
    });
    return more;
  }

  /** Where the keyboard was in the table before: what is gone from it leads to the table as a whole. */
  function find(place: string): HTMLElement | undefined {
    const places = [...parts.body.querySelectorAll<HTMLElement>('[data-place]')];
    return places.find((element) => element.getAttribute('data-place') === place) ?? places[0];
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
      const isSameView = shown?.view === view;
      shown = { view, chosen };
      if (!isSameView) return render();
      // Only the choice is another: nothing vanishes under the pointer or the keyboard.
      for (const [trial, box] of boxes) box.checked = chosen.includes(trial);
    },
  };
}
