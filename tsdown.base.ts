// Shared build settings: one file in dist/ for each entry of package.json's exports, named as publishConfig names it.
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { defineConfig, type UserConfig } from 'tsdown';

interface Manifest {
  readonly exports: Readonly<Record<string, string>>;
  readonly publishConfig: { readonly exports: Readonly<Record<string, { readonly default: string }>> };
}

/**
 * Safari has no `Symbol.dispose`, nor have Chrome before 134 and Firefox before 141: a method of that name would be called `undefined`
 * there, and what `using` is lowered to would not find it. Both agree on a registered symbol instead.
 */
const disposable: NonNullable<UserConfig['plugins']> = {
  name: 'disposable-everywhere',
  renderChunk: (code: string, { fileName }: { readonly fileName: string }) =>
    /\.d\.[mc]?ts$/.test(fileName)
      ? null
      : code.replaceAll(/\[Symbol\.(asyncDispose|dispose)\]/g, '[Symbol.$1 ?? Symbol.for("Symbol.$1")]'),
};

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
    plugins: [disposable],
    fixedExtension: true,
    // Node's modules are imported only where a function needs them, so the rest runs in browsers.
    deps: { neverBundle: [/^node:/] },
    inputOptions: { resolve: { mainFields: ['module', 'main'] }, checks: { pluginTimings: false } },
  }) as UserConfig;
}
