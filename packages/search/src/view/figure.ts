// What all figures of a view share: Observable Plot on the page's own document, colours that follow light and dark.
import type * as ObservablePlot from '@observablehq/plot';
import { optional } from '../optional.ts';

// Drawing is synchronous, importing is not: an import that failed is thrown where something is drawn.
const loaded: typeof ObservablePlot | Error = await optional(
  ['@observablehq/plot'],
  'a study view',
  async () => import('@observablehq/plot'),
).catch((error: unknown) => error as Error);

/** @throws SearchError `missing-package` */
export function plotting(): typeof ObservablePlot {
  if (loaded instanceof Error) throw loaded;
  return loaded;
}

export const FRONT = 'var(--front)';
export const OTHER = 'var(--other)';
export const ACCENT = 'var(--accent)';
export const CHOSEN = 'var(--chosen)';

export interface FigureOptions {
  readonly document: Document;
  /** Pixels. */
  readonly width: number;
}

/** A figure; `value` is what lies under the pointer, where one of its marks follows that. */
export function draw(
  options: FigureOptions,
  label: string,
  plot: ObservablePlot.PlotOptions,
): Element & { readonly value?: unknown } {
  const figure = plotting().plot({
    ...options,
    height: 340,
    marginLeft: 56,
    marginBottom: 40,
    ariaLabel: label,
    style: { background: 'none', color: 'currentColor', fontFamily: 'inherit', fontSize: '12px' },
    ...plot,
  });
  figure.setAttribute('role', 'img');
  return figure;
}

/** Whether text can be measured in this document, which a tip beside the pointer needs. */
export function canMeasure(document: Document): boolean {
  const view = document.defaultView as unknown as { SVGGraphicsElement?: { prototype: object } } | null;
  return view?.SVGGraphicsElement !== undefined && 'getBBox' in view.SVGGraphicsElement.prototype;
}
