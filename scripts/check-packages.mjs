// Packs every public package and checks the tarballs as their users will see them: publint, arethetypeswrong (ESM only), and
// an installation of all of them into an empty project whose every entry is then imported by Node.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { catalogVersion, installPacked, pack, publicPackages } from './lib/packed.mjs';
import { run } from './toolchain.mjs';

const env = process.env;
const project = mkdtempSync(join(tmpdir(), 'packages-check-'));
const print = (text) => process.stdout.write(`${text}\n`);

async function check(tarball) {
  const problems = [];
  for (const [command, ...args] of [
    ['publint', tarball, '--strict'],
    ['attw', tarball, '--profile', 'esm-only'],
  ]) {
    const { code, output } = await run(command, args, { env, capture: true });
    if (code !== 0) problems.push(`${command}:\n${output}`);
  }
  return problems;
}

/** Installs the tarballs beside their peers, nothing from the workspace in reach, and imports each entry. */
async function importAll(packages) {
  const tarballs = Object.fromEntries(packages.map(({ name, tarball }) => [name, tarball]));
  // Peers that entries cannot do without; optional ones that only functions need are left out.
  const others = { '@tensorflow/tfjs': catalogVersion('@tensorflow/tfjs') };
  await installPacked({ project, tarballs, others });
  const specifiers = packages.flatMap(({ name, entries }) => entries.map((entry) => `${name}${entry.slice(1)}`));
  writeFileSync(
    join(project, 'import-all.mjs'),
    `let failed = false;
     for (const specifier of ${JSON.stringify(specifiers)}) {
       try {
         const names = Object.keys(await import(specifier));
         if (names.length === 0) throw new Error('it exports nothing');
       } catch (error) {
         failed = true;
         console.log(specifier + ': ' + error.message);
       }
     }
     process.exit(failed ? 1 : 0);`,
  );
  const imported = await run('node', ['import-all.mjs'], { env, cwd: project, capture: true });
  return imported.code === 0 ? [] : [`importing the installed packages failed\n${imported.output}`];
}

const packages = publicPackages();
let failed = 0;
try {
  for (const each of packages) {
    each.tarball = await pack(each, project);
    const problems = await check(each.tarball);
    failed += problems.length;
    print(`${each.name}: ${problems.length > 0 ? `FAILED\n${problems.join('\n')}` : 'ok'}`);
  }
  const problems = await importAll(packages);
  failed += problems.length;
  print(problems.length > 0 ? `installed together: FAILED\n${problems.join('\n')}` : 'installed together: ok');
} catch (error) {
  failed++;
  print(error.message);
} finally {
  rmSync(project, { recursive: true, force: true });
}
process.exitCode = failed > 0 ? 1 : 0;
