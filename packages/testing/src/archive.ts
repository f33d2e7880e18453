// Unpacks a file of @sparticuz/chromium into a cache folder, once per machine, safely while several processes ask for it.
import { createReadStream, createWriteStream, existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rename, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import { createBrotliDecompress } from 'node:zlib';
import { extract } from 'tar-fs';

const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), '../../..');
const CACHE = join(ROOT, 'node_modules', '.cache', 'hip-testing');

/** `swiftshader`, `al2023` and `fonts` are tar archives; `chromium` is one executable. */
export type ArchiveName = 'swiftshader' | 'al2023' | 'fonts' | 'chromium';

async function packageFolder(): Promise<{ folder: string; version: string }> {
  const entry = createRequire(import.meta.url).resolve('@sparticuz/chromium');
  const folder = resolve(dirname(entry), '..');
  const { version } = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8')) as { version: string };
  return { folder, version };
}

/** Why the archives' binaries cannot run here, or undefined where they can: they are Linux x64 ELF files. */
export function unsupportedPlatform(): string | undefined {
  return process.platform === 'linux' && process.arch === 'x64'
    ? undefined
    : `@sparticuz/chromium holds Linux x64 binaries, this is ${process.platform}-${process.arch}`;
}

/**
 * Unpacks one archive of @sparticuz/chromium and returns the folder it lies in (for `chromium`: the folder holding it).
 * The work is done in a temporary folder that is renamed into place: whoever comes first wins, nobody sees half of it.
 *
 * @throws when the package is not installed or the disk cannot be written
 */
export async function unpack(name: ArchiveName): Promise<string> {
  const { folder, version } = await packageFolder();
  const target = join(CACHE, `${name}-${version}`);
  if (existsSync(target)) return target;
  await mkdir(CACHE, { recursive: true });
  const temporary = await mkdtemp(join(CACHE, `.${name}-`));
  try {
    const isTar = name !== 'chromium';
    await pipeline(
      createReadStream(join(folder, 'bin', `${name}${isTar ? '.tar' : ''}.br`)),
      createBrotliDecompress({ chunkSize: 2 ** 21 }),
      isTar ? extract(temporary) : createWriteStream(join(temporary, name), { mode: 0o755 }),
    );
    await rename(temporary, target).catch((error: unknown) => {
      if (!existsSync(target)) throw error;
    });
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
  return target;
}
