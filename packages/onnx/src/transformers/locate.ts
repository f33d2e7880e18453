// Where the files of a loaded transformers.js model are. The library does not keep that: its cache and its folder of local models are
// searched for a config.json that says what the model's does.
import { OnnxError } from '../errors.ts';
import { bytesFile, folderFiles, type OnnxFile, type OnnxFiles } from '../model/files.ts';
import type { TransformersEnv } from './types.ts';

/** Folders of a search, not more. */
const MAX_FOLDERS = 2000;

/** The files of a model. @throws OnnxError `file-not-found` where none is found, or several */
export async function locateFiles(config: object, file: string, env: TransformersEnv | undefined): Promise<OnnxFiles> {
  const node = globalThis.process?.getBuiltinModule?.('node:fs/promises');
  const found = node ? await inFolders(node, config, file, env) : await inCacheStorage(config, file, env);
  if (found.length === 1) return found[0]!;
  const where =
    found.length === 0
      ? 'is not found'
      : `is found ${found.length} times (${found.map(({ location }) => location).join(', ')})`;
  throw new OnnxError(
    'file-not-found',
    `${file} of this model ${where} where transformers.js keeps files: give the option model (the folder, files or bytes)`,
    { file, places: found.map(({ location }) => location) },
  );
}

/** Whether a config.json is the model's: transformers.js adds to what it read, and changes nothing. */
function isSame(text: string, config: object): boolean {
  try {
    const read = JSON.parse(text) as Record<string, unknown>;
    const own = config as Record<string, unknown>;
    return Object.entries(read).every(([key, value]) => JSON.stringify(own[key]) === JSON.stringify(value));
  } catch {
    return false;
  }
}

async function inFolders(
  { readdir, readFile, stat }: typeof import('node:fs/promises'),
  config: object,
  file: string,
  env: TransformersEnv | undefined,
): Promise<readonly OnnxFiles[]> {
  const roots = [env?.localModelPath, env?.cacheDir, ...(await mappedFolders(readFile)), process.cwd()];
  const found: OnnxFiles[] = [];
  let open = [...new Set(roots.flatMap((path) => (path ? [path.replace(/(?<=.)\/+$/, '')] : [])))];
  const visited = new Set<string>();
  let seen = 0;
  // root/model, root/owner/model, root/owner/model/revision
  for (let depth = 0; depth < 4 && open.length > 0; depth++) {
    const next: string[] = [];
    for (const folder of open) {
      if (visited.has(folder)) continue;
      visited.add(folder);
      if (seen++ > MAX_FOLDERS) return found;
      const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
      const isModel = entries.some(({ name }) => name === 'config.json');
      if (isModel) {
        const text = await readFile(`${folder}/config.json`, 'utf8').catch(() => '');
        const exists = await stat(`${folder}/${file}`).then(
          () => true,
          () => false,
        );
        if (exists && isSame(text, config)) found.push(folderFiles(folder));
      } else {
        next.push(
          ...entries
            .filter((entry) => !entry.isFile() && !/^(?:node_modules|\..*)$/.test(entry.name))
            .map(({ name }) => `${folder}/${name}`),
        );
      }
    }
    open = next;
  }
  return found;
}

/** On Linux: folders whose external data onnxruntime has mapped into this process. A model loaded from anywhere is among them. */
async function mappedFolders(readFile: typeof import('node:fs/promises').readFile): Promise<readonly string[]> {
  const maps = await readFile('/proc/self/maps', 'utf8').catch(() => '');
  const files = [...maps.matchAll(/(\/\S*)\/[^/\s]*\.onnx[^/\s]*data[^/\s]*$/gm)].map((match) => match[1]!);
  return [...new Set(files.map((folder) => folder.replace(/\/onnx$/, '')))];
}

/** The browser's cache of what the library has fetched. */
async function inCacheStorage(
  config: object,
  file: string,
  env: TransformersEnv | undefined,
): Promise<readonly OnnxFiles[]> {
  if (typeof caches === 'undefined') return [];
  const cache = await caches.open(env?.cacheKey ?? 'transformers-cache');
  const found: OnnxFiles[] = [];
  for (const { url } of await cache.keys()) {
    if (!url.endsWith('/config.json')) continue;
    const base = url.slice(0, -'config.json'.length);
    const text = await (await cache.match(url))?.text();
    if (text === undefined || !isSame(text, config) || !(await cache.match(base + file))) continue;
    found.push({
      location: base,
      open: async (name): Promise<OnnxFile | undefined> => {
        const response = await cache.match(base + name);
        return response && bytesFile(await response.blob(), name);
      },
    });
  }
  return found;
}

/** Files under an address, each fetched once, whole. */
export function addressFiles(base: string): OnnxFiles {
  const root = base.replace(/\/*$/, '/');
  return {
    location: root,
    open: async (name): Promise<OnnxFile | undefined> => {
      const response = await fetch(new URL(name, new URL(root, globalThis.location?.href)));
      if (response.status === 404) return undefined;
      if (!response.ok) {
        const message = `${root}${name} answers ${response.status} ${response.statusText}`;
        throw new OnnxError('file-access', message, { name, status: response.status });
      }
      return bytesFile(await response.blob(), name);
    },
  };
}
