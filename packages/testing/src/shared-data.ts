// Finds the shared folder (weights, data, goldens; CONTRIBUTING.md). Tests that need it skip with a reason where it is absent; CI must have it.
import { existsSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), '../../..');

/** The shared folder: $SHARED_DIR, else the workspace's sibling, else shared/ inside it; undefined where there is none. */
export function sharedDirectory(): string | undefined {
  const candidates = [process.env['SHARED_DIR'], join(ROOT, '..', 'shared'), join(ROOT, 'shared')];
  return candidates.find((path): path is string => path !== undefined && existsSync(join(path, 'spec', 'hip.md')));
}

/** A path inside the shared folder, or undefined where the folder or the file is absent. */
export function sharedPath(...segments: string[]): string | undefined {
  const root = sharedDirectory();
  const path = root && join(root, ...segments);
  return path && existsSync(path) ? path : undefined;
}

/**
 * What a test's name says where something it needs of the shared folder is absent; empty where all is there. Use it for both, the
 * condition and the name:
 *
 * @example
 * ```ts
 * const missing = missingShared('data/nas');
 * describe.skipIf(missing)(`measured networks${missing}`, () => {});
 * ```
 */
export function missingShared(...paths: string[]): string {
  const absent = paths.filter((path) => sharedPath(...path.split('/')) === undefined);
  return absent.length === 0 ? '' : ` (skipped: no ${absent.map((path) => `../shared/${path}`).join(', ')})`;
}
