// Parallel coordinates as a figure.
import type { StudyView } from './data.ts';
import { CHOSEN, FRONT, OTHER, draw, plotting, type FigureOptions } from './figure.ts';
import { axesOf, linesOf } from './parallel.ts';

export interface ParallelFigureOptions extends FigureOptions {
  /** Names of the variables that get an axis. */
  readonly variables: readonly string[];
  readonly chosen: readonly number[];
}

const ROW = 40;

/** One axis a row; the front stands out, and the chosen trials more. */
export function parallelFigure(view: StudyView, options: ParallelFigureOptions): Element {
  const { variables, chosen, ...rest } = options;
  const Plot = plotting();
  const axes = axesOf(view, variables);
  const lines = linesOf(view);
  const points = lines.flatMap(({ trial, front }) =>
    axes.flatMap((axis) => {
      const x = axis.place(trial);
      return x === undefined
        ? []
        : [{ x, y: axis.name, trial: trial.number, front, chosen: chosen.includes(trial.number) }];
    }),
  );
  const channels = { x: 'x', y: 'y', z: 'trial' };
  const longest = Math.max(...axes.map(({ name }) => name.length));
  const ends = (index: 0 | 1) => axes.map(({ name, ends: texts }) => ({ x: index, y: name, text: texts[index] }));
  return draw(rest, `${lines.length} trials along ${axes.length} axes`, {
    height: 24 + ROW * axes.length,
    marginLeft: Math.min(0.35 * rest.width, 16 + 7 * longest),
    marginRight: 16,
    marginTop: 16,
    marginBottom: 8,
    x: { axis: null, domain: [0, 1] },
    y: { label: null, domain: axes.map(({ name }) => name), type: 'point', padding: 0.5, tickSize: 0 },
    marks: [
      Plot.ruleY(axes, { y: 'name', stroke: 'currentColor', strokeOpacity: 0.5 }),
      Plot.line(
        points.filter(({ front }) => !front),
        { ...channels, stroke: OTHER, strokeOpacity: 0.35 },
      ),
      Plot.line(
        points.filter(({ front }) => front),
        { ...channels, stroke: FRONT, strokeOpacity: 0.7 },
      ),
      Plot.line(
        points.filter((point) => point.chosen),
        { ...channels, stroke: CHOSEN, strokeWidth: 2.5 },
      ),
      Plot.text(ends(0), { x: 'x', y: 'y', text: 'text', textAnchor: 'start', dy: 10, fontSize: 10 }),
      Plot.text(ends(1), { x: 'x', y: 'y', text: 'text', textAnchor: 'end', dy: 10, fontSize: 10 }),
    ],
  });
}
