// The packed packages on Node 20 and 22, Deno and Bun, and that manifests promise the lowest Node of these.
import { execFile } from 'node:child_process';
import { globSync, readFileSync } from 'node:fs';
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

it('no source uses what Node 20 or Safari 17 lack, and float16 is asked for before it is used', () => {
  const newer =
    /\b(Map|Object)\.groupBy\(|\bArray\.fromAsync\(|\bPromise\.(try|withResolvers)\b|\bError\.isError\(|\bRegExp\.escape\(|\bMath\.f16round\(|\.[gs]etFloat16\(|\bIterator\.from\(|\bnew (Async)?DisposableStack\b|\.(values|keys|entries)\(\)\.(map|filter|some|every|find|reduce|toArray|flatMap|take|drop|forEach)\(/;
  const found = packages.flatMap(({ folder }) =>
    globSync('src/**/*.ts', { cwd: folder }).flatMap((file) => {
      const lines = readFileSync(join(folder, file), 'utf8').split('\n');
      const code = lines.filter((line) => !/^\s*(\/\/|\*|\/\*)/.test(line));
      const float16 = code.some((line) => line.includes('Float16Array'));
      const asked = code.some((line) => line.includes('typeof Float16Array'));
      return [...code.filter((line) => newer.test(line)), ...(float16 && !asked ? ['Float16Array'] : [])].map(
        (line) => `${file}: ${line.trim()}`,
      );
    }),
  );
  expect(found).toEqual([]);
});

it.skipIf(!here)('every package does its work on every runtime', { timeout: 600_000 }, async () => {
  const script = join(import.meta.dirname, '../runtimes.mjs');
  const { stdout } = await promisify(execFile)(process.execPath, [script, '--scripts']).catch(
    (error: { readonly stdout: string }) => error,
  );
  const last = stdout.trim().split('\n').at(-1)!;
  expect(last, stdout).toMatch(/^\{/);
  const said = JSON.parse(last) as Record<string, Record<string, string | null>>;
  expect(Object.keys(said)).toEqual(['node-20', 'node-22', 'node-22, older', 'deno', 'bun']);
  const well = Object.fromEntries(packages.map(({ name }) => [name, null]));
  for (const [runtime, results] of Object.entries(said)) expect([runtime, results]).toEqual([runtime, well]);
});
