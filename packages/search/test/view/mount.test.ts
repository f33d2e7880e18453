// The study view on linkedom: what it shows, how filter, sorting and choosing act, and that updates keep them.
import { parseHTML } from 'linkedom';
import { describe, expect, it } from 'vitest';
import { bertSynth, runSearch } from '../../src/index.ts';
import { mountStudy, toStudyView, type StudyView } from '../../src/report.ts';

const { study } = await runSearch(bertSynth(), { tactic: 'random', evaluations: 40, population: 20, seed: 1 });
const view = toStudyView(study);

function page() {
  const { document, Event } = parseHTML('<!doctype html><html><body><main></main></body></html>');
  return {
    root: document.querySelector('main')!,
    fire: (node: Element, type: string) => node.dispatchEvent(new Event(type)),
  };
}

/** Trials in the table, in its order. */
const numbers = (root: Element) =>
  [...root.querySelectorAll('.table tbody tr')].map((row) => Number(row.querySelectorAll('td')[1]!.textContent));

const waitFor = async (condition: () => boolean) => {
  for (let i = 0; i < 2000 && !condition(); i++) await new Promise((resolve) => setTimeout(resolve, 5));
  expect(condition()).toBe(true);
};

describe('mountStudy', () => {
  it('draws every panel with a name, and explains the objectives', async () => {
    const { root } = page();
    const mounted = mountStudy(root, view);
    await mounted.drawn();
    for (const name of ['front', 'history', 'parallel', 'table', 'compare', 'importance'])
      expect(root.querySelector(`section.${name}`)?.getAttribute('aria-label')).toBeTruthy();
    expect(root.querySelector('.front svg')?.getAttribute('aria-label')).toMatch(/on the front of 40 measured/);
    expect(root.querySelector('header p')?.textContent).toContain('40 measured');
    await waitFor(() => root.querySelector('.importance svg') !== null);
    expect(root.querySelector('.importance svg')?.textContent).toContain('layers');
    mounted.dispose();
    expect(root.children).toHaveLength(0);
  });

  it('draws its figures again for another width, and stops watching when it goes', async () => {
    const { document, window } = parseHTML('<!doctype html><html><body><main></main></body></html>');
    let [width, watched, changed] = [800, 0, () => {}];
    class ResizeObserver {
      constructor(callback: () => void) {
        changed = callback;
      }
      observe() {
        watched++;
      }
      disconnect() {
        watched--;
      }
    }
    Object.defineProperty(window, 'ResizeObserver', { value: ResizeObserver });
    const root = document.querySelector('main')!;
    const prototype = Object.getPrototypeOf(Object.getPrototypeOf(root)) as object;
    Object.defineProperty(prototype, 'clientWidth', { configurable: true, get: () => width });
    const mounted = mountStudy(root, view);
    await mounted.drawn();
    const widthOf = (panel: string) => Number(root.querySelector(`.${panel} svg`)?.getAttribute('width'));
    await waitFor(() => widthOf('importance') === 800);
    const panels = ['front', 'history', 'parallel', 'importance'];
    expect(panels.map(widthOf)).toEqual([800, 800, 800, 800]);
    expect(watched).toBe(1);
    width = 320;
    changed();
    await waitFor(() => panels.every((panel) => widthOf(panel) === 320));
    mounted.dispose();
    expect(watched).toBe(0);
  });

  it('filters by words and comparisons, sorts by a column, says what it cannot follow', async () => {
    const { root, fire } = page();
    const mounted = mountStudy(root, view);
    await mounted.drawn();
    const filter = root.querySelector<HTMLInputElement>('input[type=search]')!;
    const type = (text: string) => {
      filter.value = text;
      fire(filter, 'input');
    };
    expect(numbers(root)).toEqual(view.trials.map(({ number }) => number));
    type('accuracy >= 86, layers = 3');
    const expected = view.trials.filter((t) => t.objectives['accuracy']! >= 86 && t.values['layers'] === 3);
    expect(numbers(root)).toEqual(expected.map(({ number }) => number));
    type('speed > 3');
    expect(root.querySelector('[role=status]')?.textContent).toMatch(
      /no column "speed": use one of trial, state, macs/,
    );
    type('');
    const macs = [...root.querySelectorAll('th button')].find((button) => button.textContent === 'macs (G)')!;
    fire(macs, 'click');
    const ascending = [...view.trials].sort((a, b) => a.objectives['macs']! - b.objectives['macs']!);
    expect(numbers(root)).toEqual(ascending.map(({ number }) => number));
    const sorted = root.querySelector('th[aria-sort=ascending]');
    expect(sorted?.textContent).toBe('macs (G)');
    mounted.dispose();
  });

  it('compares the two trials that were chosen last, and keeps them, the filter and the axes through an update', async () => {
    const { root, fire } = page();
    const chosen: (readonly number[])[] = [];
    const half: StudyView = { ...view, trials: view.trials.slice(0, 20) };
    const mounted = mountStudy(root, half, { onChoose: (trials) => chosen.push(trials) });
    await mounted.drawn();
    const filter = root.querySelector<HTMLInputElement>('input[type=search]')!;
    for (const trial of [3, 5, 7]) {
      const box = root.querySelector(`input[aria-label="compare trial ${trial}"]`)!;
      fire(box, 'change');
      await mounted.drawn();
    }
    expect(chosen).toEqual([[3], [3, 5], [5, 7]]);
    filter.value = 'complete';
    mounted.update(view);
    await mounted.drawn();
    expect(filter.value).toBe('complete');
    expect(numbers(root)).toHaveLength(40);
    const compare = root.querySelector('.compare')!;
    expect([...compare.querySelectorAll('thead th')].map((cell) => cell.textContent)).toContain('trial 5');
    const gain = view.trials[7]!.objectives['macs']! - view.trials[5]!.objectives['macs']!;
    const row = [...compare.querySelectorAll('tbody tr')].find(
      (r) => r.querySelector('th')?.textContent === 'macs (G)',
    )!;
    expect(Number(row.querySelectorAll('td')[2]!.textContent.split(' ')[0])).toBeCloseTo(gain, 3);
    mounted.dispose();
  });

  it('leaves the table as it is where only the choice changes, and makes it anew for another view', async () => {
    const { root, fire } = page();
    const mounted = mountStudy(root, view);
    await mounted.drawn();
    const table = root.querySelector('.table table')!;
    const box = (trial: number) => root.querySelector<HTMLInputElement>(`input[aria-label="compare trial ${trial}"]`)!;
    const boxes = [3, 5, 7].map(box);
    for (const each of boxes) {
      each.checked = true;
      fire(each, 'change');
      await mounted.drawn();
    }
    expect(root.querySelector('.table table')).toBe(table);
    expect([3, 5, 7].map(box)).toEqual(boxes);
    // The first of three goes; of the others each has its box.
    expect(boxes.map(({ checked }) => checked)).toEqual([false, true, true]);
    mounted.update({ ...view });
    await mounted.drawn();
    expect(root.querySelector('.table table')).not.toBe(table);
    expect([3, 5, 7].map((trial) => box(trial).hasAttribute('checked'))).toEqual([false, true, true]);
    mounted.dispose();
  });

  it('stands before anything is measured, with one objective, and with three', async () => {
    const { root } = page();
    mountStudy(root, { ...view, trials: [] }).dispose();
    const [objective] = view.objectives;
    mountStudy(root, { ...view, objectives: [objective!] }).dispose();
    const third = { name: 'layers', direction: 'minimize' as const };
    const trials = view.trials.map((t) => ({
      ...t,
      objectives: { ...t.objectives, layers: Number(t.values['layers']) },
    }));
    const mounted = mountStudy(root, { ...view, objectives: [...view.objectives, third], trials });
    const labels = [...root.querySelectorAll('.front label')].map((label) => label.textContent);
    expect(labels.map((label) => label.split(' ')[0])).toEqual(['across', 'up']);
    mounted.dispose();
  });
});
