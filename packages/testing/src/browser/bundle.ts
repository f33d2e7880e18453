// Bundles a TypeScript entry for a browser page: the workspace's packages from source, assets beside it.
import { basename, dirname } from 'node:path';
import { build } from 'esbuild-wasm';
import { rolldown } from 'rolldown';

/** `esbuild` refuses what it cannot resolve, Node's modules among it; `rolldown` (vite's) leaves such imports to the page. */
export type Bundler = 'rolldown' | 'esbuild';

/**
 * @param entry - absolute path of a module; what it imports is bundled in, dynamic imports become further files; a worker's script
 *   (`new Worker(new URL(…))`) is not followed: bundle it apart and put it among `files`
 * @param bundler - defaults to rolldown
 * @returns path → content, for `serve({ files })`; the entry is `/entry.js`
 */
export async function bundle(
  entry: string,
  bundler: Bundler = 'rolldown',
): Promise<Record<string, string | Uint8Array>> {
  try {
    return await (bundler === 'esbuild' ? withEsbuild(entry) : withRolldown(entry));
  } catch (error) {
    throw new Error(`${basename(entry)} could not be bundled for the browser`, { cause: error });
  }
}

async function withRolldown(entry: string): Promise<Record<string, string | Uint8Array>> {
  await using input = await rolldown({ input: { entry }, platform: 'browser', logLevel: 'silent' });
  const { output } = await input.generate({
    format: 'esm',
    entryFileNames: '[name].js',
    chunkFileNames: '[name]-[hash].js',
  });
  return Object.fromEntries(
    output.map((file) => [`/${file.fileName}`, file.type === 'chunk' ? file.code : file.source]),
  );
}

/** The native esbuild would become a peer of vite in every package; this one is the same program. */
async function withEsbuild(entry: string): Promise<Record<string, string | Uint8Array>> {
  const { outputFiles } = await build({
    entryPoints: { entry },
    absWorkingDir: dirname(entry),
    bundle: true,
    splitting: true,
    platform: 'browser',
    format: 'esm',
    target: 'es2024',
    outdir: '/',
    write: false,
    logLevel: 'silent',
  });
  return Object.fromEntries(outputFiles.map(({ path, contents }) => [path, contents]));
}
