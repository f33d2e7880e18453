// A real redis-server for the tests: the machine's own, else Debian's packages unpacked into a cache folder (nothing is installed).
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { existsSync, globSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const CACHE = resolve(import.meta.dirname, '../node_modules/.cache/redis-server');
/** Everything redis-server links to that a small system may lack. */
const PACKAGES = ['redis-server', 'redis-tools', 'liblzf1', 'libjemalloc2', 'libatomic1'];

interface Binary {
  readonly path: string;
  readonly libraries: string;
}

function works(binary: Binary): boolean {
  try {
    return /v=\d/.test(
      execFileSync(binary.path, ['--version'], {
        env: environment(binary),
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'ignore'],
      }),
    );
  } catch {
    return false;
  }
}

function environment({ libraries }: Binary): NodeJS.ProcessEnv {
  return libraries === ''
    ? process.env
    : { ...process.env, LD_LIBRARY_PATH: [libraries, process.env['LD_LIBRARY_PATH']].filter(Boolean).join(delimiter) };
}

function installed(): Binary | undefined {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/bin', '/usr/local/bin', '/opt/homebrew/bin'];
  for (const folder of folders) {
    for (const name of ['redis-server', 'valkey-server']) {
      const binary = { path: join(folder, name), libraries: '' };
      if (existsSync(binary.path) && works(binary)) return binary;
    }
  }
  return undefined;
}

function cached(): Binary | undefined {
  const path = join(CACHE, 'usr/bin/redis-server');
  if (!existsSync(path)) return undefined;
  const libraries = globSync(join(CACHE, 'usr/lib/*-linux-gnu')).join(delimiter);
  const binary = { path, libraries };
  return works(binary) ? binary : undefined;
}

/** `apt-get download` with private package lists: needs no root and changes nothing outside the cache folder. */
function unpack(): void {
  const work = mkdtempSync(join(tmpdir(), 'redis-server-'));
  try {
    const lists = join(work, 'lists');
    const archives = join(work, 'cache');
    mkdirSync(join(lists, 'partial'), { recursive: true });
    mkdirSync(join(archives, 'archives/partial'), { recursive: true });
    const apt = (...args: string[]) =>
      execFileSync(
        'apt-get',
        [
          '-o',
          `Dir::State::lists=${lists}`,
          '-o',
          `Dir::Cache=${archives}`,
          '-o',
          'APT::Sandbox::User=',
          '-qq',
          ...args,
        ],
        {
          cwd: work,
          stdio: ['ignore', 'ignore', 'pipe'],
          timeout: 90_000,
        },
      );
    apt('update');
    apt('download', ...PACKAGES);
    const root = join(work, 'root');
    for (const file of globSync('*.deb', { cwd: work }))
      execFileSync('dpkg-deb', ['-x', join(work, file), root], { stdio: 'ignore' });
    rmSync(CACHE, { recursive: true, force: true });
    mkdirSync(resolve(CACHE, '..'), { recursive: true });
    try {
      renameSync(root, CACHE);
    } catch {
      execFileSync('cp', ['-a', root, CACHE]); // another file system
    }
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** A binary, or why there is none. */
export function findRedis(): Binary | string {
  const found = installed() ?? cached();
  if (found) return found;
  if (process.platform !== 'linux' || !existsSync('/usr/bin/apt-get'))
    return 'no redis-server or valkey-server on this machine, and no apt-get to fetch one: install either';
  try {
    unpack();
  } catch (error) {
    return `no redis-server on this machine, and apt-get could not fetch one: ${error instanceof Error ? error.message : String(error)}`;
  }
  return cached() ?? 'the fetched redis-server does not run here: install redis-server or valkey-server';
}

function freePort(): Promise<number> {
  return new Promise((settle, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() =>
        address && typeof address === 'object' ? settle(address.port) : reject(new Error('no port')),
      );
    });
  });
}

export interface RedisServer extends AsyncDisposable {
  readonly url: string;
  readonly process: ChildProcess;
}

/** Starts a server in memory only. @param given its port: a free local one, if not given */
export async function startRedis(binary: Binary, given?: number): Promise<RedisServer> {
  const port = given ?? (await freePort());
  const child = spawn(
    binary.path,
    ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', tmpdir()],
    {
      env: environment(binary),
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  let log = '';
  child.stdout?.on('data', (text: Buffer) => (log += text.toString()));
  child.stderr?.on('data', (text: Buffer) => (log += text.toString()));
  for (let i = 0; i < 200 && !/ready to accept connections/i.test(log); i++) {
    if (child.exitCode !== null) throw new Error(`redis-server ended: ${log}`);
    await sleep(50);
  }
  return {
    url: `redis://127.0.0.1:${port}`,
    process: child,
    async [Symbol.asyncDispose]() {
      const exited = new Promise((settle) => child.once('exit', settle));
      child.kill('SIGKILL');
      await exited;
    },
  };
}
