// The kernels in headless Chromium.
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { describeBrowser } from '@hip/testing';

describeBrowser('kernels in a browser', (open) => {
  it('equal float64, f32 and f16', async () => {
    await using tab = await open({ entry: join(import.meta.dirname, 'fixtures/page.ts') });
    for (const [type, tolerance] of [
      ['f32', 1e-5],
      ['f16', 2e-3],
    ] as const) {
      const { tier, dense, hip } = (await tab.page.evaluate(`runKernels('${type}')`)) as {
        tier: string;
        dense: number;
        hip: number;
      };
      expect(['basic', 'subgroups', 'subgroup-matrix']).toContain(tier);
      expect(dense).toBeLessThan(tolerance);
      expect(hip).toBeLessThan(tolerance);
    }
    expect(tab.errors).toEqual([]);
  });
});
