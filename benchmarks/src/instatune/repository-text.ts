// This repository's own TypeScript, as a text to model.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The sources of all packages, file by file in the order of their paths; from the file INSTATUNE_TYPESCRIPT where it is set. */
export function repositoryText(): string[] {
  const carried = process.env['INSTATUNE_TYPESCRIPT'];
  if (carried) return [readFileSync(carried, 'utf8')];
  const packages = join(dirname(fileURLToPath(import.meta.url)), '../../../packages');
  return readdirSync(packages)
    .sort()
    .map((name) => join(packages, name, 'src'))
    .filter((folder) => existsSync(folder))
    .flatMap((folder) =>
      readdirSync(folder, { recursive: true, encoding: 'utf8' })
        .filter((path) => path.endsWith('.ts'))
        .sort()
        .map((path) => `// ${path}\n${readFileSync(join(folder, path), 'utf8')}`),
    );
}
