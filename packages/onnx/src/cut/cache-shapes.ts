// Shapes of caches, of keys and of values, which graphs ask for: nothing that has them is left, the session knows them.
import type { NodeProto } from '../model/types.ts';
import type { AttentionSite, Axis } from '../graph/site.ts';
import { intOf, intsOf, isOnnx, type GraphView } from '../graph/view.ts';

/** A shape that the graph asks for: `output` is that of one of a site's tensors, from axis `start` up to `end`. */
export interface CacheShape {
  readonly output: string;
  readonly site: number;
  /** Tokens along its axis S. */
  readonly tokens: 'past' | 'new' | 'whole';
  readonly axes: readonly Axis[];
  /** One tensor holds both halves of a cache. */
  readonly joined: boolean;
  readonly start: number;
  readonly end: number | undefined;
}

/** A value of a site whose shape is known. */
export type SiteShape = Omit<CacheShape, 'output' | 'start' | 'end'>;

/** Values that hold caches: of what was before, and of everything. */
export function cacheValues(sites: readonly AttentionSite[]): ReadonlyMap<string, SiteShape> {
  const values = new Map<string, SiteShape>();
  for (const [site, { past, present, whole, cacheAxes: axes }] of sites.entries()) {
    for (const name of whole) values.set(name, { site, tokens: 'whole', axes, joined: present?.joined === true });
    if (past)
      for (const name of [past.key, past.value]) values.set(name, { site, tokens: 'past', axes, joined: past.joined });
  }
  return values;
}

/** Values on the way to attentions, and their transposes. */
export function knownShapes(view: GraphView, sites: readonly AttentionSite[]): ReadonlyMap<string, SiteShape> {
  const known = new Map<string, SiteShape>();
  const open = sites.flatMap(({ shapes }, site) =>
    shapes.map(({ value, axes, isWhole }): [string, SiteShape] => [
      value,
      { site, tokens: isWhole ? 'whole' : 'new', axes, joined: false },
    ]),
  );
  for (let next = open.pop(); next; next = open.pop()) {
    const [value, shape] = next;
    if (known.has(value)) continue;
    known.set(value, shape);
    for (const node of view.readers.get(value) ?? []) {
      const perm = isOnnx(node, 'Transpose') ? intsOf(node, 'perm') : undefined;
      if (perm?.length !== shape.axes.length) continue;
      open.push([node.output[0]!, { ...shape, axes: perm.map((from) => shape.axes[from]!) }]);
    }
  }
  return known;
}

export function cacheShape(
  view: GraphView,
  node: NodeProto,
  caches: ReturnType<typeof cacheValues>,
  known?: ReturnType<typeof knownShapes>,
): CacheShape | undefined {
  if (!isOnnx(node, 'Shape')) return undefined;
  const value = node.input[0] ?? '';
  const found = caches.get(value) ?? known?.get(value);
  if (!found) return undefined;
  const end = node.attribute.some(({ name }) => name === 'end') ? intOf(node, 'end', 0) : undefined;
  return { output: node.output[0]!, ...found, start: intOf(node, 'start', 0), end };
}
