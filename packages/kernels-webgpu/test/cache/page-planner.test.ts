// The page planner: slots never shared, least recently used first, unsaved and pinned pages never evicted.
import { expect, it } from 'vitest';
import * as fc from 'fast-check';
import { PagePlanner } from '../../src/cache/page-planner.ts';
import { HipError } from '@hip/mask-search';

/** For conditions inside branches. */
function must(condition: boolean, what: string): void {
  if (!condition) throw new Error(what);
}

type Action =
  | { readonly kind: 'create' }
  | { readonly kind: 'save' | 'pin' | 'unpin' | 'release' | 'share'; readonly at: number }
  | { readonly kind: 'require'; readonly at: readonly number[] };

const at = fc.nat(40);
const actions: fc.Arbitrary<readonly Action[]> = fc.array(
  fc.oneof(
    { weight: 4, arbitrary: fc.constant({ kind: 'create' } as const) },
    { weight: 6, arbitrary: fc.record({ kind: fc.constantFrom('save', 'pin', 'unpin', 'release', 'share'), at }) },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant('require' as const), at: fc.array(at, { maxLength: 6 }) }) },
  ),
  { maxLength: 80 },
);

function codeOf(action: () => unknown): string | undefined {
  try {
    action();
  } catch (error) {
    return error instanceof HipError ? error.code : undefined;
  }
  return undefined;
}

it('keeps its promises under any sequence of actions', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 6 }), actions, (slots, list) => {
      const planner = new PagePlanner(slots);
      // A model: pages in order of last use, with what is known of them.
      const order: number[] = [];
      const saved = new Set<number>();
      const pinned = new Set<number>();
      // Sequences that hold a page besides the first.
      const others = new Map<number, number>();
      const evictable = (): number[] =>
        order.filter((page) => planner.slotOf(page) !== undefined && saved.has(page) && !pinned.has(page));
      const use = (page: number): void => {
        if (order.includes(page)) order.splice(order.indexOf(page), 1);
        order.push(page);
      };
      for (const action of list) {
        const page =
          'at' in action && typeof action.at === 'number' ? order[action.at % Math.max(1, order.length)] : undefined;
        if (action.kind === 'create') {
          const full = planner.resident === slots;
          const candidates = evictable();
          if (full && candidates.length === 0) {
            must(codeOf(() => planner.create()) === 'out-of-memory', 'creates without room');
            continue;
          }
          const { page: made, evicted } = planner.create();
          must(evicted === (full ? candidates[0] : undefined), 'evicts another page than the least recently used');
          use(made);
        } else if (action.kind === 'require') {
          const wanted = new Set(
            action.at.map((i) => order[i % Math.max(1, order.length)]).filter((one) => one !== undefined),
          );
          const before = order.map((one) => planner.slotOf(one));
          try {
            const placed = planner.require(wanted);
            for (const one of wanted) {
              must(planner.slotOf(one) !== undefined, 'a required page is not there');
              use(one);
            }
            for (const { page: loaded, evicted } of placed) {
              must(wanted.has(loaded), 'loads what nobody wants');
              must(
                evicted === undefined || (saved.has(evicted) && !pinned.has(evicted) && !wanted.has(evicted)),
                'evicts a page that must stay',
              );
            }
          } catch (error) {
            if (!(error instanceof HipError)) throw error;
            must(error.code === 'out-of-memory', error.message);
            must(order.map((one) => planner.slotOf(one)).join() === before.join(), 'a refused request moved pages');
          }
        } else if (page !== undefined) {
          if (action.kind === 'save') {
            planner.saved(page);
            saved.add(page);
          } else if (action.kind === 'pin') {
            planner.pin(page);
            pinned.add(page);
          } else if (action.kind === 'unpin') {
            planner.unpin(page);
            pinned.delete(page);
          } else if (action.kind === 'share') {
            planner.share(page);
            others.set(page, (others.get(page) ?? 0) + 1);
          } else if ((others.get(page) ?? 0) > 0) {
            must(!planner.release(page), 'frees a page that others hold');
            others.set(page, others.get(page)! - 1);
          } else {
            must(planner.release(page), 'keeps a page that nobody holds');
            order.splice(order.indexOf(page), 1);
            pinned.delete(page);
            saved.delete(page);
          }
        }
        const used = order.map((one) => planner.slotOf(one)).filter((slot) => slot !== undefined);
        expect(new Set(used).size).toBe(used.length);
        expect(used.every((slot) => slot >= 0 && slot < slots)).toBe(true);
        expect(planner.resident).toBe(used.length);
        expect(planner.pages).toBe(order.length);
        expect(order.map((one) => planner.isShared(one))).toEqual(order.map((one) => (others.get(one) ?? 0) > 0));
        // What was never saved is never lost.
        expect(order.every((one) => saved.has(one) || planner.slotOf(one) !== undefined)).toBe(true);
      }
    }),
  );
});

it('gives slots in order, so that one sequence alone is contiguous', () => {
  const planner = new PagePlanner(4);
  expect(Array.from({ length: 4 }, () => planner.create().slot)).toEqual([0, 1, 2, 3]);
});

it('says which page does not exist', () => {
  expect(() => new PagePlanner(1).slotOf(3)).toThrow('page 3 does not exist');
});
