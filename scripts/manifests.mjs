// Writes what follows from the root package.json into every public package's, CITATION.cff and the issue templates; --check only looks.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from './toolchain.mjs';
import { manifestFiles } from './lib/package-manifests.mjs';
import { manifest, repository } from './lib/repository.mjs';

const stale = manifestFiles(manifest, repository).filter(({ now, should }) => now !== should);
const check = process.argv.includes('--check');
for (const { path, should } of stale) {
  if (!check) writeFileSync(join(ROOT, path), should);
  process.stdout.write(`${check ? 'stale' : 'written'}: ${path}\n`);
}
if (check && stale.length > 0) {
  process.stdout.write('run: npm run manifests\n');
  process.exitCode = 1;
}
