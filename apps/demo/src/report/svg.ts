// Plot options → standalone SVG text (Observable Plot on linkedom: no browser needed).
import * as Plot from '@observablehq/plot';
import { parseHTML } from 'linkedom';

const { document } = parseHTML('<!doctype html><html><body></body></html>');

export function svgOf(options: Plot.PlotOptions): string {
  return Plot.plot({ ...options, document: document as unknown as Document }).outerHTML;
}
