// Plans of a step: which networks, which weights; the sum is the objective of the paper.
import { describe, expect, it } from 'vitest';
import { createSpace } from '../../src/elastic/space.ts';
import { smallestSubnet, subnetKey } from '../../src/elastic/subnets.ts';
import { SeededRandom } from '../../src/random.ts';
import { needsTeacher, planStep } from '../../src/train/step/strategy.ts';

const space = createSpace({ layers: 6, heads: 4, ffn: 768 });
const plan = (options: Partial<Parameters<typeof planStep>[1]>) =>
  planStep(space, { strategy: 'instatune', alpha: 0.3, gamma: 0, subnets: 1, ...options }, new SeededRandom(7).next);

describe('planStep', () => {
  it('instatune, γ = 0: S on labels and teaching, S_i on labels and S', () => {
    const [s, sub, ...more] = plan({});
    expect(more).toEqual([]);
    expect(s).toEqual({ hard: 0.3, soft: 0, teaches: true });
    expect(sub).toMatchObject({ hard: 0.3, soft: 0.7, source: 'self', teaches: false });
    expect(sub!.subnet).toBeDefined();
  });

  it('instatune, γ = 1: everything from the teacher', () => {
    const passes = plan({ gamma: 1, subnets: 3 });
    expect(passes).toHaveLength(4);
    expect(passes.every((pass) => pass.hard === 0.3 && pass.soft === 0.7 && pass.source === 'teacher')).toBe(true);
    expect(passes[0]!.subnet).toBeUndefined();
  });

  it('sandwich adds the smallest; random leaves out S; baselines have S alone', () => {
    const sandwich = plan({ strategy: 'sandwich', subnets: 2 });
    expect(sandwich).toHaveLength(4);
    expect(subnetKey(sandwich[1]!.subnet!)).toBe(subnetKey(smallestSubnet(space)));
    const random = plan({ strategy: 'random', subnets: 2 });
    expect(random.map((pass) => [pass.hard, pass.soft, pass.subnet !== undefined])).toEqual([
      [1, 0, true],
      [1, 0, true],
    ]);
    expect(plan({ strategy: 'plain' })).toEqual([{ hard: 1, soft: 0, teaches: false }]);
    expect(plan({ strategy: 'kd-only' })).toEqual([{ hard: 0.3, soft: 0.7, source: 'teacher', teaches: false }]);
  });

  it('draws every depth and width with equal frequency', () => {
    const random = new SeededRandom(3);
    const depths = new Map<number, number>();
    const draws = 4000;
    for (let i = 0; i < draws; i++) {
      const { layers } = planStep(space, { strategy: 'random', alpha: 1, gamma: 0, subnets: 1 }, random.next)[0]!
        .subnet!;
      depths.set(layers, (depths.get(layers) ?? 0) + 1);
    }
    const expected = draws / space.layers.length;
    // Five standard deviations of a binomial count.
    for (const depth of space.layers)
      expect(Math.abs(depths.get(depth)! - expected)).toBeLessThan(5 * Math.sqrt(expected));
  });

  it('knows when a teacher is needed', () => {
    expect(needsTeacher({ strategy: 'instatune', alpha: 0.3, gamma: 0 })).toBe(false);
    expect(needsTeacher({ strategy: 'instatune', alpha: 0.3, gamma: 'hybrid' })).toBe(true);
    expect(needsTeacher({ strategy: 'kd-only', alpha: 0.3, gamma: 0 })).toBe(true);
    expect(needsTeacher({ strategy: 'plain', alpha: 0.3, gamma: 1 })).toBe(false);
  });
});
