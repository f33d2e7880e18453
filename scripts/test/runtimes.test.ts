// The packed packages on Node 20 and 22, Deno and Bun, and that manifests promise the lowest Node of these.
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { publicPackages, publishedManifest } from '../lib/packed.mjs';
import { lowestNode } from '../lib/runtimes.mjs';

const packages = publicPackages();
const here = process.platform === 'linux' && process.arch === 'x64';

it('every package promises the lowest Node that it is tried on', () => {
  const promised = Object.fromEntries(packages.map(({ name, manifest }) => [name, manifest.engines.node]));
  expect(promised).toEqual(Object.fromEntries(packages.map(({ name }) => [name, `>=${lowestNode()}`])));
});

it('a published manifest names no protocol of the workspace', () => {
  for (const { manifest } of packages) {
    const published = JSON.stringify(publishedManifest(manifest, () => '0.0.0'));
    expect(published).not.toMatch(/workspace:|catalog:|\.\/src\//);
  }
});

it.skipIf(!here)('every package does its work on every runtime', { timeout: 600_000 }, async () => {
  const script = join(import.meta.dirname, '../runtimes.mjs');
  const { stdout } = await promisify(execFile)(process.execPath, [script, '--scripts']).catch(
    (error: { readonly stdout: string }) => error,
  );
  const last = stdout.trim().split('\n').at(-1)!;
  expect(last, stdout).toMatch(/^\{/);
  const said = JSON.parse(last) as Record<string, Record<string, string | null>>;
  expect(Object.keys(said)).toEqual(['node-20', 'node-22', 'deno', 'bun']);
  const well = Object.fromEntries(packages.map(({ name }) => [name, null]));
  for (const [runtime, results] of Object.entries(said)) expect([runtime, results]).toEqual([runtime, well]);
});
