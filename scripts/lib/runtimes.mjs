// Node 20 and 22, Deno and Bun out of the npm registry, at versions and hashes that scripts/runtimes/package-lock.json pins.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, copyFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT, run } from '../toolchain.mjs';

const PINS = join(ROOT, 'scripts/runtimes');
const FOLDER = join(ROOT, '.tooling/runtimes');

/** What each is called, where it lies, and how it runs a module. `lowest`: the version that `engines` promises. */
const RUNTIMES = [
  { name: 'node-20', binary: 'node-20/bin/node', args: [], lowest: true },
  { name: 'node-22', binary: 'node-22/bin/node', args: [] },
  { name: 'node-22, older', binary: 'node-22/bin/node', args: [], flags: ['--older'] },
  { name: 'deno', binary: '@deno/linux-x64-glibc/deno', args: ['run', '--allow-all', '--node-modules-dir=manual'] },
  { name: 'bun', binary: '@oven/bun-linux-x64-baseline/bin/bun', args: ['run', '--no-install'] },
];

/** The lowest version of Node that the packages are tried on, as `engines.node` says it. */
export function lowestNode() {
  const lock = JSON.parse(readFileSync(join(PINS, 'package-lock.json'), 'utf8'));
  return lock.packages['node_modules/node-20'].version;
}

/** Installs the runtimes once for each lockfile; those that this platform has. */
export async function runtimes() {
  const lock = readFileSync(join(PINS, 'package-lock.json'));
  const hash = createHash('sha256').update(lock).digest('hex');
  const stamp = join(FOLDER, '.lock');
  if (!existsSync(stamp) || readFileSync(stamp, 'utf8') !== hash) {
    mkdirSync(FOLDER, { recursive: true });
    for (const file of ['package.json', 'package-lock.json']) copyFileSync(join(PINS, file), join(FOLDER, file));
    const command = ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
    const { code, output } = await run('npm', command, { env: process.env, cwd: FOLDER, capture: true });
    if (code !== 0) throw new Error(`npm ci of scripts/runtimes failed\n${output}`);
    writeFileSync(stamp, hash);
  }
  return RUNTIMES.map((each) => ({ ...each, path: join(FOLDER, 'node_modules', each.binary) })).filter(({ path }) =>
    existsSync(path),
  );
}

/** What smoke.mjs says on one runtime: package → null or what was wrong. */
export async function smoke({ path, args, flags = [] }, project) {
  const env = { ...process.env, NODE_OPTIONS: '', DENO_NO_UPDATE_CHECK: '1' };
  // The shims of the workspace's commands put its packages there, where Bun finds them.
  delete env.NODE_PATH;
  const { code, output } = await run(path, [...args, 'smoke.mjs', ...flags], { env, cwd: project, capture: true });
  const last = output.trim().split('\n').at(-1) ?? '';
  if (!last.startsWith('{')) throw new Error(`${path} ended with ${code} and printed no results:\n${output}`);
  return JSON.parse(last);
}
