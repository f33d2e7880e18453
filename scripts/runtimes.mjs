// Packs the public packages and runs scripts/runtimes/smoke.mjs over them on every runtime: npm run runtimes. They are packed as they are
// published, and must be built; with --scripts their JavaScript alone is built here and packed. The last line is what each runtime said, as JSON.
import { copyFileSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { catalogVersion, installPacked, pack, packScripts, publicPackages } from './lib/packed.mjs';
import { runtimes, smoke } from './lib/runtimes.mjs';
import { ROOT } from './toolchain.mjs';

// What libraries leave to their users these bring themselves, so they are tried in a project of their own.
const COMMANDS = ['@instatune/cli'];

const folder = mkdtempSync(join(tmpdir(), 'runtimes-'));
try {
  const packages = publicPackages();
  const versionOf = (name) => packages.find((each) => each.name === name).manifest.version;
  const tarballs = {};
  for (const each of packages) {
    tarballs[each.name] = process.argv.includes('--scripts')
      ? await packScripts(each, folder, versionOf)
      : await pack(each, folder);
  }
  const tfjs = '@tensorflow/tfjs';
  const libraries = Object.keys(tarballs).filter((name) => !COMMANDS.includes(name));
  const projects = [
    { project: join(folder, 'libraries'), direct: libraries, others: { [tfjs]: catalogVersion(tfjs) } },
    { project: join(folder, 'commands'), direct: COMMANDS },
  ];
  for (const each of projects) {
    mkdirSync(each.project);
    await installPacked({ ...each, tarballs });
    copyFileSync(join(ROOT, 'scripts/runtimes/smoke.mjs'), join(each.project, 'smoke.mjs'));
  }
  const said = {};
  for (const runtime of await runtimes()) {
    const own = (said[runtime.name] = {});
    for (const { project } of projects) Object.assign(own, await smoke(runtime, project));
    const results = Object.entries(own);
    const failed = results.filter(([, problem]) => problem !== null);
    process.stdout.write(`${runtime.name}: ${results.length - failed.length} of ${results.length} packages\n`);
    for (const [name, problem] of failed) process.stdout.write(`${runtime.name}, ${name}: ${problem}\n`);
    if (failed.length > 0 || results.length === 0) process.exitCode = 1;
  }
  process.stdout.write(`${JSON.stringify(said)}\n`);
} catch (error) {
  process.stdout.write(`${error.stack}\n`);
  process.exitCode = 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
