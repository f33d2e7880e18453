// The study view in a page: front, history, parallel coordinates, importances, table, comparison; drawn again when the study has grown.
import type { StudyView, ViewTrial } from './data.ts';
import { choice, makerOf, panel } from './dom.ts';
import { comparePanel } from './compare-panel.ts';
import { historyFigure, importanceFigure } from './figures.ts';
import { plotting } from './figure.ts';
import { drawnTrials, frontFigure } from './front-figure.ts';
import type { MountedStudy, MountOptions } from './mounted.ts';
import { measuredTrials, viewFrontSteps, viewHistorySteps } from './front.ts';
import { importancesOf, type Importances } from './importances.ts';
import { parallelFigure } from './parallel-figure.ts';
import { STYLE } from './style.ts';
import { summaryOf } from './summary.ts';
import { tablePanel } from './table-panel.ts';
import { watchWidth, WidthsOnce } from './watch-width.ts';
import { inSlices, nextTask, Turns } from './turns.ts';

/** Trials whose front and history take a while. */
const MANY_TRIALS = 500;

/** Axes of variables in the parallel coordinates: more are a thicket. */
const AXES = 12;

/**
 * Puts a study into an element of a page: the Pareto front in two objectives, hypervolume by trial, parallel coordinates, importances by functional
 * ANOVA, every trial in a table with filter and sorting, and two trials compared. Light and dark as the page's reader prefers; usable by keyboard.
 *
 * @throws SearchError `missing-package` where @observablehq/plot is not installed
 * @example
 * import { mountStudy, toStudyView } from '@instatune/search/report';
 *
 * const mounted = mountStudy(document.querySelector('main'), toStudyView(study));
 * onProgress: () => mounted.update(toStudyView(study));
 */
export function mountStudy(root: HTMLElement, view: StudyView, options: MountOptions = {}): MountedStudy {
  const document = root.ownerDocument;
  // Thrown here rather than in a panel's turn.
  plotting();
  const make = makerOf(document);
  const abort = new AbortController();
  const turns = new Turns(abort.signal);
  const importancesFor = options.importances ?? importancesOf;
  let current = view;
  let chosen: readonly number[] = [];
  let importances: Importances | undefined;
  let learntFrom = '';
  let [x, y, explained] = ['', '', ''];

  const title = make('h2');
  const summary = make('p');
  const front = panel(make, 'Pareto front', 'front');
  const history = panel(make, 'History', 'history');
  const parallel = panel(make, 'Parallel coordinates', 'parallel');
  const importance = panel(make, 'Importance of variables', 'importance');
  const table = tablePanel(make, toggle);
  const compare = comparePanel(make);
  const container = make(
    'div',
    { class: 'instatune-study' },
    make('style', {}, STYLE),
    make('header', {}, title, summary),
    make('div', { class: 'panels' }, front.element, history.element, parallel.element, importance.element),
    table.element,
    compare.element,
  );

  function toggle(trial: number): void {
    chosen = chosen.includes(trial) ? chosen.filter((each) => each !== trial) : [...chosen.slice(-1), trial];
    options.onChoose?.(chosen);
    drawChosen();
  }

  const widths = new WidthsOnce(options.width);
  const width = (place: HTMLElement): number => widths.of(place);
  const nothing = (text: string) => make('p', {}, text);

  let drawn: readonly ViewTrial[] = [];
  /** Before the front is drawn, in a turn of its own. */
  function spread(): void {
    drawn = current.objectives.length > 1 ? drawnTrials(current, x, y, chosen) : [];
  }

  function drawFront(): void {
    const one = current.objectives.length === 1;
    const measured = measuredTrials(current).length;
    if (one || measured === 0) {
      front.body.replaceChildren(
        nothing(one ? 'One objective has no front: see the history.' : 'Nothing is measured yet.'),
      );
      return;
    }
    front.body.replaceChildren(
      frontFigure(current, { document, width: width(front.body), x, y, drawn, chosen, onChoose: toggle }),
      ...(drawn.length < measured
        ? [nothing(`${drawn.length} of ${measured} trials are drawn: of those on one spot, one.`)]
        : []),
    );
  }

  async function drawHistory(): Promise<void> {
    const view = current;
    const found = await inSlices(viewHistorySteps(view), abort.signal);
    // The last slice and the first figure, for which Plot is warmed up, are a task each.
    if (view.trials.length > MANY_TRIALS) await nextTask();
    if (found && !abort.signal.aborted)
      history.body.replaceChildren(historyFigure(view, found, { document, width: width(history.body) }));
  }

  function drawParallel(): void {
    const ranked = importances?.variables.map(({ name }) => name) ?? current.variables.map(({ name }) => name);
    const variables = ranked.slice(0, AXES);
    const left = current.variables.length - variables.length;
    parallel.body.replaceChildren(
      measuredTrials(current).length === 0
        ? nothing('Nothing is measured yet.')
        : parallelFigure(current, { document, width: width(parallel.body), variables, chosen }),
      ...(left > 0 ? [nothing(`The ${AXES} variables that matter most, of ${current.variables.length}.`)] : []),
    );
  }

  function askChosen(): void {
    turns.ask('spread', spread);
    turns.ask('front', drawFront);
    turns.ask('parallel', drawParallel);
    turns.ask('table', () => table.show(current, chosen));
    turns.ask('compare', () => compare.show(current, chosen));
  }

  function drawChosen(): void {
    askChosen();
    void turns.run();
  }

  function drawImportance(): void {
    importance.body.replaceChildren(
      importances
        ? importanceFigure(importances, { document, width: width(importance.body) })
        : nothing('A few more measured trials are needed.'),
    );
  }

  /** Learnt again when a tenth more is known: a forest takes a moment. */
  async function explain(): Promise<void> {
    const count = measuredTrials(current).length;
    const step = Math.floor(Math.log(Math.max(1, count)) / Math.log(1.1));
    const key = `${explained} ${step} ${current.variables.length}`;
    if (key === learntFrom) return;
    learntFrom = key;
    try {
      const found = await importancesFor(current, explained, { signal: abort.signal });
      if (key !== learntFrom || abort.signal.aborted) return;
      importances = found;
      turns.ask('importance', drawImportance);
      turns.ask('parallel', drawParallel);
      await turns.run();
    } catch (error) {
      if (!abort.signal.aborted) importance.body.replaceChildren(nothing(String(error)));
    }
  }

  function drawControls(): void {
    const names = current.objectives.map(({ name }) => name);
    if (!names.includes(explained)) explained = names[0]!;
    if (!names.includes(x) || !names.includes(y)) [x, y] = [names.at(-1)!, names[0]!];
    const redraw = (set: (name: string) => void) => (name: string) => {
      set(name);
      spread();
      drawFront();
    };
    front.controls.replaceChildren(
      ...(names.length > 2
        ? [
            choice(
              make,
              'across',
              names,
              x,
              redraw((name) => (x = name)),
            ),
            choice(
              make,
              'up',
              names,
              y,
              redraw((name) => (y = name)),
            ),
          ]
        : []),
    );
    importance.controls.replaceChildren(
      ...(names.length > 1
        ? [
            choice(make, 'for', names, explained, (name) => {
              explained = name;
              void explain();
            }),
          ]
        : []),
    );
  }

  /** What every panel asks of thousands of trials, in slices before the first of them. */
  async function findFront(): Promise<void> {
    await inSlices(viewFrontSteps(current), abort.signal);
  }

  function drawSummary(): void {
    const { name, problem } = current;
    title.textContent = problem === undefined ? name : `${problem}: study “${name}”`;
    summary.textContent = summaryOf(current);
  }

  let objectives = '';
  function show(): void {
    // Controls are made again only for other objectives: what is being used must not vanish.
    const key = JSON.stringify(current.objectives);
    if (key !== objectives) drawControls();
    objectives = key;
    if (current.trials.length > MANY_TRIALS) turns.ask('best', findFront);
    turns.ask('summary', drawSummary);
    // The smallest figure first: it pays for what all of them need.
    turns.ask('history', drawHistory);
    askChosen();
    turns.ask('explain', () => void explain());
    // Making the page's elements was a task; so is what is told of many trials first.
    void (current.trials.length > MANY_TRIALS ? nextTask().then(() => turns.run()) : turns.run());
  }

  root.append(container);
  show();
  watchWidth(container, abort.signal, () => {
    widths.forget();
    turns.ask('history', drawHistory);
    turns.ask('front', drawFront);
    turns.ask('parallel', drawParallel);
    if (importances) turns.ask('importance', drawImportance);
    void turns.run();
  });
  return {
    update(next) {
      current = next;
      chosen = chosen.filter((number) => next.trials.some((trial) => trial.number === number));
      show();
    },
    drawn: () => turns.run(),
    dispose() {
      abort.abort();
      container.remove();
    },
  };
}
