// The page's server: the playground, built into a folder of its own, on localhost.
import { globSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { extname, join } from 'node:path';
import { build } from 'vite';
import { playgroundConfig } from '@hip/playground/build';
import { startLocalServer, type LocalServer, type ServedFile } from './local-server.ts';

const TYPES: Readonly<Record<string, string>> = {
  '.css': 'text/css',
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.json': 'application/json',
  '.mjs': 'text/javascript',
  '.txt': 'text/plain; charset=utf-8',
  '.wasm': 'application/wasm',
};

/** Builds the playground and serves it until closed. */
export async function servePage({ port }: { readonly port?: number } = {}): Promise<LocalServer> {
  const folder = mkdtempSync(join(tmpdir(), 'playground-'));
  const remove = (): void => rmSync(folder, { recursive: true, force: true });
  try {
    await build(playgroundConfig(folder, { docs: undefined }));
    const server = await startLocalServer({ files: filesOf(folder), port });
    const close = async (): Promise<void> => {
      await server.close();
      remove();
    };
    return { url: server.url, close, [Symbol.asyncDispose]: close };
  } catch (error) {
    remove();
    throw error;
  }
}

/** Every file by its path; folders by their page. */
function filesOf(folder: string): ReadonlyMap<string, ServedFile> {
  const names = globSync('**/*.*', { cwd: folder });
  return new Map(
    names.flatMap((name): [string, ServedFile][] => {
      const file = { type: TYPES[extname(name)] ?? 'application/octet-stream', path: join(folder, name) };
      const path = `/${name.replaceAll('\\', '/')}`;
      return [
        [path, file],
        ...(path.endsWith('/index.html') ? [[path.slice(0, -'index.html'.length), file] as [string, ServedFile]] : []),
      ];
    }),
  );
}
