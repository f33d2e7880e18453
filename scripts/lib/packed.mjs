// The public packages as their users get them: packed, and installed into a folder where nothing of the workspace is in reach.
import { cpSync, existsSync, globSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
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

/** The manifest as it is published: the exports of publishConfig, versions in place of the workspace's protocols. */
export function publishedManifest(manifest, versionOf) {
  const { publishConfig, devDependencies: _, scripts: __, ...rest } = manifest;
  const { access: ___, ...published } = publishConfig;
  const dependencies = Object.fromEntries(
    Object.entries(rest.dependencies ?? {}).map(([name, range]) => {
      if (range.startsWith('workspace:')) return [name, versionOf(name)];
      return [name, range === 'catalog:' ? catalogVersion(name) : range];
    }),
  );
  // As pnpm publishes `workspace:^`: a peer is brought by whoever installs, so it is a range and no file.
  const peerDependencies = Object.fromEntries(
    Object.entries(rest.peerDependencies ?? {}).map(([name, range]) => [
      name,
      range === 'workspace:^' ? `^${workspaceVersion(name)}` : range,
    ]),
  );
  return { ...rest, ...published, dependencies, peerDependencies };
}

function workspaceVersion(name) {
  return publicPackages().find((one) => one.name === name).manifest.version;
}

/** Builds one package's JavaScript alone, which takes a tenth of the time of its declarations, and packs it; returns the tarball's path. */
export async function packScripts({ name, folder, manifest }, into, versionOf) {
  const stage = join(into, `pack-${name.replace(/\W+/g, '-')}`);
  const built = await run('tsdown', ['--no-dts', '--logLevel', 'error', '-d', join(stage, 'dist')], {
    env: process.env,
    cwd: folder,
    capture: true,
  });
  if (built.code !== 0) throw new Error(`${name}: tsdown failed\n${built.output}`);
  writeFileSync(join(stage, 'package.json'), JSON.stringify(publishedManifest(manifest, versionOf)));
  for (const file of manifest.files) {
    if (file === 'dist' || file === 'src' || !existsSync(join(folder, file))) continue;
    cpSync(join(folder, file), join(stage, file), { recursive: true });
  }
  const { code, output } = await run('npm', ['pack', '--silent', '--pack-destination', stage], {
    env: process.env,
    cwd: stage,
    capture: true,
  });
  const [tarball] = globSync('*.tgz', { cwd: stage });
  if (code !== 0 || !tarball) throw new Error(`${name}: npm pack failed\n${output}`);
  return join(stage, tarball);
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
 * @param direct names of those the project asks for; the rest come where one of these needs them. By default all
 * @throws Error with pnpm's output
 */
export async function installPacked({ project, tarballs, others = {}, direct = Object.keys(tarballs) }) {
  const files = Object.fromEntries(Object.entries(tarballs).map(([name, tarball]) => [name, `file:${tarball}`]));
  writeFileSync(
    join(project, 'package.json'),
    JSON.stringify({
      private: true,
      type: 'module',
      dependencies: { ...Object.fromEntries(direct.map((name) => [name, files[name]])), ...others },
    }),
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
