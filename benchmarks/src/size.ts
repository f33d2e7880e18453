// Bytes a user downloads per package entry: bundled with its own code, minified, gzip; peers and Node built-ins left out.
import { gzipSync } from 'node:zlib';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';
import type { Benchmark } from './benchmark.ts';

const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), '../..');

interface Manifest {
  readonly name: string;
  readonly private?: boolean;
  readonly exports: Readonly<Record<string, string>>;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
}

export const benchmark: Benchmark = {
  name: 'size',
  description: 'gzip bytes of each package entry',
  async run({ log }) {
    const rows: Record<string, unknown>[] = [];
    for (const path of globSync('packages/*/package.json', { cwd: ROOT }).sort()) {
      const manifest = JSON.parse(readFileSync(join(ROOT, path), 'utf8')) as Manifest;
      if (manifest.private) continue;
      for (const [entry, source] of Object.entries(manifest.exports)) {
        const input = join(ROOT, path, '..', source);
        if (!source.endsWith('.ts') || !existsSync(input)) continue;
        log(`${manifest.name}${entry.slice(1)}`);
        const external = Object.keys({ ...manifest.dependencies, ...manifest.peerDependencies });
        const bundle = await rolldown({
          input,
          platform: 'node',
          external: (id) => id.startsWith('node:') || external.some((name) => id === name || id.startsWith(`${name}/`)),
          logLevel: 'silent',
        });
        const { output } = await bundle.generate({ format: 'esm', minify: true });
        await bundle.close();
        const code = output.map((chunk) => (chunk.type === 'chunk' ? chunk.code : '')).join('\n');
        rows.push({ entry: `${manifest.name}${entry.slice(1)}`, minifiedBytes: code.length, gzipBytes: gzipSync(code, { level: 9 }).length, external });
      }
    }
    return { rows };
  },
};
