// Shared build settings: one file in dist/ for each entry of package.json's exports, named as publishConfig names it.
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { defineConfig, type UserConfig } from 'tsdown';

interface Manifest {
  readonly exports: Readonly<Record<string, string>>;
  readonly publishConfig: { readonly exports: Readonly<Record<string, { readonly default: string }>> };
}

/**
 * @param more - entries beyond the exports (a command, a worker's script), and the platform: `neutral` runs in Node and browsers
 */
export function packageBuild({
  entry = {},
  platform = 'neutral',
}: {
  entry?: Readonly<Record<string, string>>;
  platform?: 'neutral' | 'node';
} = {}): UserConfig {
  const manifest = JSON.parse(readFileSync(resolve('package.json'), 'utf8')) as Manifest;
  const entries = Object.entries(manifest.exports).map(([name, source]): [string, string] => {
    const published = manifest.publishConfig.exports[name]?.default;
    if (!published) throw new Error(`package.json exports ${name} but publishConfig.exports does not`);
    return [published.replace(/^\.\/dist\//, '').replace(/\.mjs$/, ''), source];
  });
  return defineConfig({
    entry: { ...Object.fromEntries(entries), ...entry },
    platform,
    target: 'es2024',
    dts: true,
    fixedExtension: true,
    // Node's modules are imported only where a function needs them, so the rest runs in browsers.
    deps: { neverBundle: [/^node:/] },
    inputOptions: { resolve: { mainFields: ['module', 'main'] }, checks: { pluginTimings: false } },
  }) as UserConfig;
}
