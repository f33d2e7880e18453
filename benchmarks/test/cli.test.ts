// The command line: the list, one run as JSON, and a wrong name.
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { registry } from '../src/registry.ts';

const CLI = join(import.meta.dirname, '../src/cli.ts');

function bench(args: string[], cwd: string): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((settle) => {
    const env = { ...process.env, INIT_CWD: cwd };
    execFile(process.execPath, ['--no-warnings', CLI, ...args], { env, maxBuffer: 1 << 26 }, (error, stdout, stderr) =>
      settle({ code: error ? Number(error.code) : 0, stdout, stderr }),
    );
  });
}

it('lists the benchmarks when none is named', async () => {
  const { code, stdout } = await bench([], tmpdir());
  expect(code).toBe(0);
  expect(stdout.trim().split('\n')).toHaveLength(Object.keys(registry).length);
  expect(stdout).toMatch(/^size +\S/m);
});

it('runs one: name, environment and rows on standard output and in the file', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'bench-'));
  try {
    const { code, stdout, stderr } = await bench(['size', '--quick', '--json', 'size.json'], folder);
    expect(stderr).toContain('@instatune/nsga2');
    expect(code).toBe(0);
    const document = JSON.parse(readFileSync(join(folder, 'size.json'), 'utf8')) as {
      readonly rows: readonly { readonly entry: string; readonly gzipBytes: number; readonly ownGzipBytes: number }[];
    };
    expect(JSON.parse(stdout)).toEqual(document);
    expect(document).toMatchObject({ name: 'size', quick: true, environment: { node: process.version } });
    const entries = document.rows.map(({ entry }) => entry);
    expect(entries).toContain('@hip/kernels-cpu/tfjs');
    expect(new Set(entries).size).toBe(entries.length);
    // More code may be a few bytes less when both are compressed.
    const isWhole = ({ gzipBytes, ownGzipBytes }: (typeof document.rows)[number]) =>
      gzipBytes > 0.99 * ownGzipBytes && ownGzipBytes > 50;
    expect(document.rows.every(isWhole)).toBe(true);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

it('refuses a name it does not know', async () => {
  const { code, stderr, stdout } = await bench(['speed'], tmpdir());
  expect(code).toBe(2);
  expect(stdout).toBe('');
  expect(stderr).toContain('no benchmark "speed"');
});
