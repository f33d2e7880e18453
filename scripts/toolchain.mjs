// Finds or fetches the toolchain: Node >= 24 and pnpm, from the npm registry when the machine's own are too old.
// Plain JavaScript without dependencies: it runs on a bare Node 20 before anything is installed.
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { delimiter, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { NODE_VERSION, wrongPackages } from './lib/pins.mjs';

export const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const TOOLING = join(ROOT, '.tooling');
const NODE_MAJOR = 24;
const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
const PNPM_VERSION = manifest.packageManager.split('@')[1];
const WINDOWS = process.platform === 'win32';

function log(message) {
  process.stderr.write(`[setup] ${message}\n`);
}

/** Installs one npm package under .tooling/NAME, once. */
function fetchTool(name, spec) {
  const prefix = join(TOOLING, name);
  const stamp = join(prefix, '.spec');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === spec) return prefix;
  log(`fetching ${spec} from the npm registry`);
  mkdirSync(prefix, { recursive: true });
  writeFileSync(join(prefix, 'package.json'), '{"private":true}\n');
  execFileSync(
    WINDOWS ? 'npm.cmd' : 'npm',
    ['install', '--prefix', prefix, '--no-save', '--no-audit', '--no-fund', '--loglevel=error', spec],
    { stdio: ['ignore', 'ignore', 'inherit'], cwd: prefix, shell: WINDOWS },
  );
  const hidden = join(prefix, 'node_modules', '.package-lock.json');
  const wrong = existsSync(hidden) ? wrongPackages(JSON.parse(readFileSync(hidden, 'utf8'))) : [];
  if (wrong.length > 0) {
    rmSync(prefix, { recursive: true, force: true });
    throw new Error(wrong.join('; '));
  }
  writeFileSync(stamp, spec);
  return prefix;
}

/** The folder to put first on PATH so that `node` is at least NODE_MAJOR, and the binary itself. */
function nodeBinary() {
  if (Number(process.versions.node.split('.')[0]) >= NODE_MAJOR) return process.execPath;
  const packageName = `node-${WINDOWS ? 'win' : process.platform}-${process.arch}`;
  // A folder of its own for each version: a checkout of another version may be running from its.
  const prefix = fetchTool(`node-${NODE_VERSION}`, `${packageName}@${NODE_VERSION}`);
  const binary = join(prefix, 'node_modules', packageName, 'bin', WINDOWS ? 'node.exe' : 'node');
  if (!existsSync(binary)) throw new Error(`${packageName} holds no ${binary}: install Node >= ${NODE_MAJOR} yourself`);
  return binary;
}

/** Resolves Node and pnpm and returns the environment in which every workspace command runs. */
export function toolchain() {
  const node = nodeBinary();
  const pnpmPrefix = fetchTool('pnpm', `pnpm@${PNPM_VERSION}`);
  const pnpmBin = join(pnpmPrefix, 'node_modules', '.bin');
  const env = {
    ...process.env,
    PATH: [dirname(node), pnpmBin, join(ROOT, 'node_modules', '.bin'), process.env.PATH ?? ''].join(delimiter),
    TURBO_TELEMETRY_DISABLED: '1',
    COREPACK_ENABLE_STRICT: '0',
    pnpm_config_pm_on_fail: 'ignore',
  };
  // npm passes its own settings down; pnpm would read them as its own.
  for (const key of Object.keys(env)) {
    if (/^npm_(package|lifecycle)_/.test(key)) delete env[key];
  }
  return { node, env };
}

/** Runs a command with the toolchain's environment; resolves to its exit code. Ctrl-C reaches the child, which decides. */
export function run(command, args, { env, cwd = ROOT, capture = false } = {}) {
  return new Promise((resolvePromise, reject) => {
    const child = spawn(command, args, {
      cwd,
      env,
      stdio: capture ? ['ignore', 'pipe', 'inherit'] : 'inherit',
      shell: WINDOWS,
    });
    const forward = () => {};
    process.on('SIGINT', forward);
    let output = '';
    child.stdout?.on('data', (chunk) => (output += chunk));
    child.on('error', reject);
    child.on('close', (code, signal) => {
      process.off('SIGINT', forward);
      resolvePromise({ code: code ?? (signal === 'SIGINT' ? 130 : 1), output });
    });
  });
}

/** `pnpm install`, skipped when the lockfile is the one last installed. */
export async function install({ env }) {
  const lockfile = join(ROOT, 'pnpm-lock.yaml');
  const stamp = join(ROOT, 'node_modules', '.installed-lock');
  const hash = existsSync(lockfile) ? createHash('sha256').update(readFileSync(lockfile)).digest('hex') : '';
  if (hash && existsSync(stamp) && readFileSync(stamp, 'utf8') === hash) return;
  log('installing the workspace (pnpm install)');
  const { code } = await run('pnpm', ['install', '--frozen-lockfile', '--reporter=append-only', '--loglevel=warn'], {
    env,
  });
  if (code !== 0) throw new Error('pnpm install failed: see its message above');
  writeFileSync(stamp, hash);
}
