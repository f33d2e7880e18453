// Says why a release may not leave: run by the release workflow before anything else, on a bare Node.
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from './toolchain.mjs';
import { reasonsAgainst } from './lib/release.mjs';
import { manifestFiles } from './lib/package-manifests.mjs';
import { manifest, repository } from './lib/repository.mjs';

const packages = globSync('packages/*/package.json', { cwd: ROOT })
  .map((path) => ({ path, manifest: JSON.parse(readFileSync(join(ROOT, path), 'utf8')) }))
  .filter((one) => !one.manifest.private)
  .map(({ path, manifest: { name, version } }) => {
    const changelog = join(ROOT, path, '..', 'CHANGELOG.md');
    let text = '';
    try {
      text = readFileSync(changelog, 'utf8');
    } catch {
      // No changelog is a reason of its own.
    }
    return { name, version, changelog: text };
  });
const stale = manifestFiles(manifest, repository).filter(({ now, should }) => now !== should);
const pending = globSync('.changeset/*.md', { cwd: ROOT }).filter((path) => !path.endsWith('README.md'));
const reasons = reasonsAgainst({ repository, packages, stale: stale.map(({ path }) => path), pending });
for (const reason of reasons) process.stdout.write(`${reason}\n`);
if (reasons.length > 0) process.exitCode = 1;
else process.stdout.write(`${packages.length} packages may be published\n`);
