// Bundles a TypeScript entry for a browser page: the workspace's packages from source, assets beside it.
import { basename } from 'node:path';
import { rolldown } from 'rolldown';

/**
 * @param entry - absolute path of a module; what it imports is bundled in, dynamic imports become further files; a worker's script
 *   (`new Worker(new URL(…))`) is not followed: bundle it apart and put it among `files`
 * @returns path → content, for `serve({ files })`; the entry is `/entry.js`
 */
export async function bundle(entry: string): Promise<Record<string, string | Uint8Array>> {
  const build = await rolldown({ input: { entry }, platform: 'browser', logLevel: 'silent' });
  try {
    const { output } = await build.generate({
      format: 'esm',
      entryFileNames: '[name].js',
      chunkFileNames: '[name]-[hash].js',
    });
    return Object.fromEntries(
      output.map((file) => [`/${file.fileName}`, file.type === 'chunk' ? file.code : file.source]),
    );
  } catch (error) {
    throw new Error(`${basename(entry)} could not be bundled for the browser`, { cause: error });
  } finally {
    await build.close();
  }
}
