// The public packages as their users get them: packed, and installed into a folder where nothing of the workspace is in reach.
import { globSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT, run } from '../toolchain.mjs';

/** Folder, name, entries and manifest of every public package. */
export function publicPackages() {
  return globSync('packages/*/package.json', { cwd: ROOT })
    .sort()
    .map((path) => ({
      folder: join(ROOT, path, '..'),
      manifest: JSON.parse(readFileSync(join(ROOT, path), 'utf8')),
    }))
    .filter(({ manifest }) => !manifest.private)
    .map(({ folder, manifest }) => ({
      folder,
      manifest,
      name: manifest.name,
      entries: Object.keys(manifest.exports),
    }));
}

/** Packs one package, which is built; returns the tarball's path. */
export async function pack({ name, folder }, into) {
  const destination = join(into, `pack-${name.replace(/\W+/g, '-')}`);
  mkdirSync(destination, { recursive: true });
  const { code, output } = await run('pnpm', ['pack', '--pack-destination', destination], {
    env: process.env,
    cwd: folder,
    capture: true,
  });
  const [tarball] = globSync('*.tgz', { cwd: destination });
  if (code !== 0 || !tarball) throw new Error(`${name}: pnpm pack failed\n${output}`);
  return join(destination, tarball);
}

/** The version that the workspace's catalog pins. */
export function catalogVersion(name) {
  const text = readFileSync(join(ROOT, 'pnpm-workspace.yaml'), 'utf8');
  const found = text.match(new RegExp(`^  "?${name.replace('/', '\\/')}"?: "?([^"\\s]+)"?$`, 'm'));
  if (!found) throw new Error(`${name} is not in the catalog of pnpm-workspace.yaml`);
  return found[1];
}

/**
 * Installs tarballs into an empty project.
 *
 * @param tarballs by package name
 * @param others further packages of the registry, name → version
 * @throws Error with pnpm's output
 */
export async function installPacked({ project, tarballs, others = {} }) {
  const files = Object.fromEntries(Object.entries(tarballs).map(([name, tarball]) => [name, `file:${tarball}`]));
  writeFileSync(
    join(project, 'package.json'),
    JSON.stringify({ private: true, type: 'module', dependencies: { ...files, ...others } }),
  );
  const overrides = Object.entries(files).map(([name, file]) => `  "${name}": "${file}"`);
  // Optional peers stay away unless they are asked for, as with a user who has not read of them.
  writeFileSync(
    join(project, 'pnpm-workspace.yaml'),
    ['strictDepBuilds: false', 'autoInstallPeers: false', 'overrides:', ...overrides, ''].join('\n'),
  );
  const installed = await run('pnpm', ['install', '--prefer-offline', '--loglevel=error', '--reporter=append-only'], {
    env: process.env,
    cwd: project,
    capture: true,
  });
  if (installed.code !== 0) throw new Error(`pnpm install of the tarballs failed\n${installed.output}`);
}
