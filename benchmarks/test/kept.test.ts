import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { KeptRows } from '../src/kept.ts';

it('goes on where an earlier run ended, and keeps nothing of a step that failed', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'kept-'));
  const path = join(folder, 'rows.json');
  let measured = 0;
  const measure = (): Promise<{ kl: number }[]> => Promise.resolve([{ kl: ++measured }]);
  try {
    const first = new KeptRows(path);
    expect(await first.of('a', measure)).toEqual([{ kl: 1 }]);
    await expect(first.of('b', () => Promise.reject(new Error('lost')))).rejects.toThrow('lost');
    const second = new KeptRows(path);
    expect(await second.of('a', measure)).toEqual([{ kl: 1 }]);
    expect(await second.of('b', measure)).toEqual([{ kl: 2 }]);
    const none = new KeptRows(undefined);
    expect(await none.of('a', measure)).toEqual([{ kl: 3 }]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
