// Bytes a user downloads: each package entry and each import from it, bundled, minified, gzip. What is left out is stated.
import { gzipSync } from 'node:zlib';
import { globSync, readFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';
import type { Benchmark } from './benchmark.ts';

const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), '../..');
const ENTRY = '\0size-entry';

interface Manifest {
  readonly name: string;
  readonly private?: boolean;
  readonly exports: Readonly<Record<string, string>>;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
}

interface Bundle {
  readonly minifiedBytes: number;
  readonly gzipBytes: number;
  readonly exports: readonly string[];
  /** Registry packages it imports and that are not inside. */
  readonly external: readonly string[];
  /** Of the gzip bytes, those loaded only when a function needs them. */
  readonly onDemandGzipBytes: number;
}

const gzip = (code: string): number => gzipSync(code, { level: 9 }).length;
const packageOf = (id: string): string => id.split('/', id.startsWith('@') ? 2 : 1).join('/');

/** Bundles `export { imported } from file` (or `export *`); packages in `external` and Node's own modules stay outside. */
async function bundle(file: string, imported: string, external: readonly string[]): Promise<Bundle> {
  const what = imported === '*' ? '*' : `{ ${imported} }`;
  const build = await rolldown({
    input: ENTRY,
    platform: 'node',
    logLevel: 'silent',
    external: (id) =>
      isBuiltin(id) || id.endsWith('.node') || external.some((name) => id === name || id.startsWith(`${name}/`)),
    plugins: [
      {
        name: 'entry',
        resolveId: (id) => (id === ENTRY ? id : undefined),
        load: (id) => (id === ENTRY ? `export ${what} from ${JSON.stringify(file)};` : undefined),
      },
    ],
  });
  const { output } = await build.generate({ format: 'esm', minify: true });
  await build.close();
  const chunks = output.filter((chunk) => chunk.type === 'chunk');
  const code = chunks.map((chunk) => chunk.code).join('\n');
  const atOnce = new Set([output[0].fileName]);
  // A set grows while it is walked.
  for (const name of atOnce)
    chunks.find(({ fileName }) => fileName === name)?.imports.forEach((next) => atOnce.add(next));
  const later = chunks.filter(({ fileName }) => !atOnce.has(fileName)).map((chunk) => chunk.code);
  const own = new Set(chunks.map(({ fileName }) => fileName));
  const specifiers = chunks.flatMap(({ imports, dynamicImports }) => [...imports, ...dynamicImports]);
  return {
    minifiedBytes: Buffer.byteLength(code),
    gzipBytes: gzip(code),
    exports: output[0].exports,
    external: [...new Set(specifiers.filter((id) => !own.has(id) && !isBuiltin(id)).map(packageOf))].sort(),
    onDemandGzipBytes: later.length === 0 ? 0 : gzip(later.join('\n')),
  };
}

export const benchmark: Benchmark = {
  name: 'size',
  description: 'gzip bytes of each package entry and of each import from it',
  async run({ quick, log, signal }) {
    const rows: Record<string, unknown>[] = [];
    for (const path of globSync('packages/*/package.json', { cwd: ROOT }).sort()) {
      const manifest = JSON.parse(readFileSync(join(ROOT, path), 'utf8')) as Manifest;
      if (manifest.private) continue;
      const dependencies = Object.keys(manifest.dependencies ?? {});
      const registry = dependencies.filter((name) => !/^@(hip|instatune)\//.test(name));
      const peers = Object.keys(manifest.peerDependencies ?? {});
      for (const [entry, source] of Object.entries(manifest.exports)) {
        if (!source.endsWith('.ts')) continue;
        const name = `${manifest.name}${entry.slice(1)}`;
        const file = join(ROOT, path, '..', source);
        const measure = async (imported: string) => {
          signal.throwIfAborted();
          const own = await bundle(file, imported, [...dependencies, ...peers]);
          const whole = await bundle(file, imported, [...registry, ...peers]);
          rows.push({
            entry: name,
            import: imported,
            // Its own code alone, and with the workspace packages it imports.
            ownGzipBytes: own.gzipBytes,
            gzipBytes: whole.gzipBytes,
            minifiedBytes: whole.minifiedBytes,
            onDemandGzipBytes: whole.onDemandGzipBytes,
            external: whole.external,
          });
          return own;
        };
        const { exports } = await measure('*');
        log(`${name}: ${String(rows.at(-1)?.['gzipBytes'])} bytes`);
        if (quick) continue;
        for (const imported of [...exports].sort()) await measure(imported);
      }
    }
    return { rows, environment: { compression: 'gzip -9', bundler: 'rolldown, minified, platform node' } };
  },
};
