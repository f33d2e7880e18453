// Unpacks the archives of @sparticuz/chromium into a cache folder, once per checkout, while any number of processes ask for it.
import { createReadStream, createWriteStream, existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import { createBrotliDecompress } from 'node:zlib';
import { extract } from 'tar-fs';

const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), '../../..');
const cacheFolder = () => process.env['HIP_TESTING_CACHE'] ?? join(ROOT, 'node_modules', '.cache', 'hip-testing');

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

/** Runs `fill` on a temporary folder and renames it into place: whoever comes first wins, nobody sees half of it. */
async function once(name: string, fill: (folder: string, archives: string) => Promise<void>): Promise<string> {
  const { folder, version } = await packageFolder();
  const cache = cacheFolder();
  const target = join(cache, `${name}-${version}`);
  if (existsSync(target)) return target;
  await mkdir(cache, { recursive: true });
  const temporary = await mkdtemp(join(cache, `.${name}-`));
  try {
    await fill(temporary, join(folder, 'bin'));
    await rename(temporary, target).catch((error: unknown) => {
      if (!existsSync(target)) throw error;
    });
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
  return target;
}

const decompress = () => createBrotliDecompress({ chunkSize: 2 ** 21 });
const unpackTar = (archives: string, name: string, folder: string) =>
  pipeline(createReadStream(join(archives, `${name}.tar.br`)), decompress(), extract(folder));

/** The folder with libvulkan.so.1, libvk_swiftshader.so and the driver manifest vk_swiftshader_icd.json. */
export function unpackSwiftShader(): Promise<string> {
  return once('swiftshader', (folder, archives) => unpackTar(archives, 'swiftshader', folder));
}

/** The archive's own names the folders of a cloud function; without any font Chromium dies at the first text field. */
const FONTS_CONF = `<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig><dir prefix="relative">fonts</dir></fontconfig>
`;

/**
 * The folder with the executable `chromium` and SwiftShader beside it (Chromium looks for it there), `lib/` with the
 * shared libraries a bare machine lacks (NSS, NSPR, expat), and `fonts.conf` with one font family.
 */
export function unpackChromium(): Promise<string> {
  return once('browser', async (folder, archives) => {
    await Promise.all(['swiftshader', 'al2023', 'fonts'].map((name) => unpackTar(archives, name, folder)));
    await writeFile(join(folder, 'fonts.conf'), FONTS_CONF);
    const executable = createWriteStream(join(folder, 'chromium'), { mode: 0o755 });
    await pipeline(createReadStream(join(archives, 'chromium.br')), decompress(), executable);
  });
}
