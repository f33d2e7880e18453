// The front of a view in two of its objectives.
import { ACCENT, CHOSEN, FRONT, OTHER, canMeasure, draw, plotting, type FigureOptions } from './figure.ts';
import type { StudyView, ViewObjective, ViewTrial } from './data.ts';
import { measuredTrials, viewFront } from './front.ts';
import { objectiveLabel, trialText } from './label.ts';
import { spreadOut } from './spread-out.ts';

export interface FrontFigureOptions extends FigureOptions {
  readonly x: string;
  readonly y: string;
  /** Measured trials that get a dot: {@link drawnTrials}. */
  readonly drawn: readonly ViewTrial[];
  readonly chosen: readonly number[];
  readonly onChoose: (trial: number) => void;
}

/** Of trials that lie on each other one; those of the front and the chosen ones all. */
export function drawnTrials(view: StudyView, x: string, y: string, chosen: readonly number[]): readonly ViewTrial[] {
  const kept = new Set([...viewFront(view).map(({ number }) => number), ...chosen]);
  return spreadOut(
    measuredTrials(view),
    ({ objectives }) => [objectives[x]!, objectives[y]!],
    ({ number }) => kept.has(number),
  );
}

/** Measured trials in two objectives; the front, the constraints' bounds and the chosen trials stand out. */
export function frontFigure(view: StudyView, options: FrontFigureOptions): Element {
  const { x, y, drawn, chosen, onChoose, ...rest } = options;
  const Plot = plotting();
  const of = (name: string) => view.objectives.find((objective) => objective.name === name) as ViewObjective;
  const arrowed = (name: string) =>
    `${objectiveLabel(of(name))}, ${of(name).direction === 'maximize' ? 'more' : 'less'} is better`;
  const at = (name: string) => (trial: ViewTrial) => trial.objectives[name];
  const trials = measuredTrials(view);
  const front = viewFront(view);
  const title = (trial: ViewTrial) => trialText(trial, view.objectives);
  const channels = { x: at(x), y: at(y) };
  const sorted = [...front].sort((a, b) => a.objectives[x]! - b.objectives[x]!);
  const uncertain = front.filter(({ standardErrors }) => standardErrors !== undefined);
  const spread = (name: string, sign: number) => (trial: ViewTrial) =>
    trial.objectives[name]! + sign * 2 * (trial.standardErrors?.[name] ?? 0);
  const figure = draw(rest, `${front.length} trials on the front of ${trials.length} measured, ${x} against ${y}`, {
    grid: true,
    x: { label: `${arrowed(x)} →` },
    y: { label: `↑ ${arrowed(y)}` },
    marks: [
      ...view.constraints.flatMap(({ name, bound }) => {
        if (name === x) return [Plot.ruleX([bound], { stroke: ACCENT, strokeDasharray: '4 3' })];
        return name === y ? [Plot.ruleY([bound], { stroke: ACCENT, strokeDasharray: '4 3' })] : [];
      }),
      Plot.dot(drawn, { ...channels, r: 3, fill: OTHER, fillOpacity: 0.6 }),
      ...(view.objectives.length === 2 ? [Plot.line(sorted, { ...channels, stroke: FRONT })] : []),
      ...(uncertain.length === 0
        ? []
        : [
            Plot.link(uncertain, { x1: spread(x, -1), x2: spread(x, 1), y: at(y), stroke: FRONT, strokeOpacity: 0.6 }),
            Plot.link(uncertain, { x: at(x), y1: spread(y, -1), y2: spread(y, 1), stroke: FRONT, strokeOpacity: 0.6 }),
          ]),
      Plot.dot(front, { ...channels, r: 4.5, fill: FRONT }),
      Plot.dot(
        trials.filter(({ number }) => chosen.includes(number)),
        { ...channels, r: 8, stroke: CHOSEN, strokeWidth: 2 },
      ),
      ...(canMeasure(rest.document) ? [Plot.tip(drawn, Plot.pointer({ ...channels, title }))] : []),
    ],
  });
  figure.addEventListener('click', () => {
    const nearest = figure.value as ViewTrial | null | undefined;
    if (nearest) onChoose(nearest.number);
  });
  return figure;
}
