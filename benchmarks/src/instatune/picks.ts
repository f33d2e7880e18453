// Which sub-networks of a front the table shows, and which of them go on by themselves.
import type { SearchedPoint } from './search.ts';

/** A sub-network of the table. */
export interface Pick {
  /** Share of the full network's MACs within which it is the best. */
  readonly share: number;
  readonly point: SearchedPoint;
}

/** MACs of the sub-networks of the table, at most, as shares of the full network's. */
const SHARES = [0.8, 0.6, 0.5, 0.4, 0.3];
/** Sub-networks of the table, at least. */
const LEAST_PICKS = 5;

/** The best point of the front within each share of the full network's MACs, each once; then others, until there are enough. */
export function pickByShare(front: readonly SearchedPoint[], full: number, shares: readonly number[] = SHARES): Pick[] {
  const picks: Pick[] = [];
  const add = (share: number, point: SearchedPoint | undefined): void => {
    if (point && !picks.some((pick) => pick.point === point)) picks.push({ share, point });
  };
  for (const share of [1, ...shares]) add(share, bestWithin(front, share * full));
  const byCost = [...front].sort((p, q) => q.macs - p.macs);
  for (let i = 0; picks.length < Math.min(LEAST_PICKS, front.length); i++) {
    const point = byCost[Math.round((i * (byCost.length - 1)) / (LEAST_PICKS - 1)) % byCost.length];
    add(Number(((point?.macs ?? 0) / full).toPrecision(2)), point);
    if (i > 4 * byCost.length) break;
  }
  return picks;
}

/** For each share in turn, the best of the table's smaller networks within it that is not chosen yet. */
export function picksToTune<T extends { readonly share: number }>(
  picks: readonly Pick[],
  tunings: readonly T[],
  full: number,
): { readonly pick: Pick; readonly tuning: T }[] {
  const chosen: { readonly pick: Pick; readonly tuning: T }[] = [];
  for (const tuning of tunings) {
    const left = picks.filter((pick) => pick.point.macs < full && !chosen.some((other) => other.pick === pick));
    const point = bestWithin(
      left.map((pick) => pick.point),
      tuning.share * full,
    );
    const pick = left.find((other) => other.point === point);
    if (pick) chosen.push({ pick, tuning });
  }
  return chosen;
}

function bestWithin(points: readonly SearchedPoint[], macs: number): SearchedPoint | undefined {
  return points
    .filter((point) => point.macs <= macs)
    .reduce<SearchedPoint | undefined>((held, point) => (held && held.loss <= point.loss ? held : point), undefined);
}
