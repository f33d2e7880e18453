// Packs every public package and checks the tarball as its users will see it: publint and arethetypeswrong (ESM only).
import { globSync, mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ROOT, run } from './toolchain.mjs';

let failed = 0;
for (const path of globSync('packages/*/package.json', { cwd: ROOT }).sort()) {
  const manifest = JSON.parse(readFileSync(join(ROOT, path), 'utf8'));
  if (manifest.private) continue;
  const folder = join(ROOT, path, '..');
  const destination = mkdtempSync(join(tmpdir(), 'pack-'));
  const packed = await run('pnpm', ['pack', '--pack-destination', destination], {
    env: process.env,
    cwd: folder,
    capture: true,
  });
  const tarball = globSync('*.tgz', { cwd: destination })[0];
  if (packed.code !== 0 || !tarball) {
    failed++;
    process.stdout.write(`${manifest.name}: pnpm pack failed\n${packed.output}`);
    continue;
  }
  const file = join(destination, tarball);
  const lint = await run('publint', [file, '--strict'], { env: process.env, capture: true });
  const types = await run('attw', [file, '--profile', 'esm-only'], { env: process.env, capture: true });
  const bad = lint.code !== 0 || types.code !== 0;
  if (bad) failed++;
  process.stdout.write(`${manifest.name}: ${bad ? `FAILED\n${lint.output}\n${types.output}` : 'ok'}\n`);
}
process.exitCode = failed > 0 ? 1 : 0;
