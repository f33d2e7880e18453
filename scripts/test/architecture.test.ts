// The arrows of the architecture, over manifests and over every import of every package's source.
import { globSync, readFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { dirname, join, relative, resolve } from 'node:path';
import ts from 'typescript';
import { describe, expect, it } from 'vitest';
import { ARCHITECTURE, entryViolation, packageOf, TESTING, TOP, violation } from '../lib/architecture.mjs';

interface Manifest {
  readonly name: string;
  readonly private?: boolean;
  readonly type?: string;
  readonly sideEffects?: boolean | string[];
  readonly exports?: Readonly<Record<string, string>>;
  readonly publishConfig?: { readonly exports?: Readonly<Record<string, unknown>> };
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
}

const ROOT = resolve(import.meta.dirname, '../..');
const packages = globSync(['packages/*/package.json', 'apps/*/package.json'], { cwd: ROOT }).map((path) => ({
  folder: join(ROOT, dirname(path)),
  manifest: JSON.parse(readFileSync(join(ROOT, path), 'utf8')) as Manifest,
}));
const dependenciesOf = ({ dependencies, peerDependencies }: Manifest) =>
  Object.keys({ ...dependencies, ...peerDependencies });

function importsOf(file: string): string[] {
  return ts.preProcessFile(readFileSync(file, 'utf8'), true, true).importedFiles.map(({ fileName }) => fileName);
}

it('names every package', () => {
  const names = packages.map(({ manifest }) => manifest.name);
  expect(names.filter((name) => !(name in ARCHITECTURE) && !TOP.includes(name) && name !== TESTING)).toEqual([]);
  expect(Object.keys(ARCHITECTURE).filter((name) => !names.includes(name))).toEqual([]);
});

it('keeps kernels and runtimes out of @hip/onnx/model', () => {
  const seen = new Set<string>();
  const walk = (file: string): string[] => {
    if (seen.has(file)) return [];
    seen.add(file);
    return importsOf(file).flatMap((specifier) =>
      specifier.startsWith('.') ? walk(resolve(dirname(file), specifier)) : [packageOf(specifier) ?? specifier],
    );
  };
  expect([...new Set(walk(join(ROOT, 'packages/onnx/src/model.ts')))].filter((used) => !isBuiltin(used))).toEqual([
    '@bufbuild/protobuf',
  ]);
  expect(seen.size).toBeGreaterThan(5);
});

it('has no cycle', () => {
  const seen = new Set<string>();
  // Declared bottom-up: an arrow may only point at a package named before.
  for (const [name, { internal }] of Object.entries(ARCHITECTURE)) {
    expect(internal.filter((other: string) => !seen.has(other))).toEqual([]);
    seen.add(name);
  }
});

describe.each(packages.filter(({ manifest }) => !TOP.includes(manifest.name)))(
  '$manifest.name',
  ({ folder, manifest }) => {
    const files = globSync('src/**/*.ts', { cwd: folder }).map((file) => join(folder, file));
    const testing = manifest.name === TESTING;

    it('depends downwards only', () => {
      expect(dependenciesOf(manifest).flatMap((used) => violation(manifest.name, used) ?? [])).toEqual([]);
    });

    it('imports downwards only, what it declares, and nothing by a path outside itself', () => {
      const declared = new Set([...dependenciesOf(manifest), manifest.name]);
      const problems: string[] = [];
      for (const file of files) {
        const where = relative(ROOT, file);
        for (const specifier of importsOf(file)) {
          const used = packageOf(specifier);
          if (used === undefined) {
            if (specifier.startsWith('.') && relative(folder, resolve(dirname(file), specifier)).startsWith('..')) {
              problems.push(`${where}: ${specifier} leaves the package`);
            }
            continue;
          }
          if (isBuiltin(specifier)) problems.push(`${where}: write node:${specifier}`);
          else if (violation(manifest.name, used)) problems.push(`${where}: ${violation(manifest.name, used)}`);
          else if (entryViolation(manifest.name, specifier)) {
            problems.push(`${where}: ${entryViolation(manifest.name, specifier)}`);
          } else if (!declared.has(used) && !(testing && used === 'vitest'))
            problems.push(`${where}: ${used} is not among its dependencies`);
          else if (specifier.slice(used.length).startsWith('/src'))
            problems.push(`${where}: ${specifier} goes past the public face`);
        }
      }
      expect(problems).toEqual([]);
    });
  },
);

describe.each(packages.filter(({ manifest }) => !manifest.private))(
  '$manifest.name, published',
  ({ folder, manifest }) => {
    it('is ESM without side effects, and publishes each entry it has', () => {
      expect(manifest.type).toBe('module');
      expect(manifest.sideEffects).toBe(false);
      expect(Object.keys(manifest.publishConfig?.exports ?? {})).toEqual(Object.keys(manifest.exports ?? {}));
      for (const source of Object.values(manifest.exports ?? {})) {
        expect(globSync(source, { cwd: folder }), source).toHaveLength(1);
      }
    });

    it('has a README', () => {
      expect(globSync('README.md', { cwd: folder })).toHaveLength(1);
    });
  },
);

describe('violation', () => {
  it('knows what may be imported', () => {
    expect(violation('@hip/kernels-cpu', '@hip/mask-search')).toBeUndefined();
    expect(violation('@hip/mask-search', '@hip/kernels-cpu')).toContain('no other package');
    expect(violation('@instatune/search', '@hip/attention')).toContain('not @hip/attention');
    expect(violation('@instatune/nsga2', 'lodash')).toContain('no registry package');
    expect(violation('@instatune/predictors', 'ml-matrix')).toBeUndefined();
    expect(violation('@hip/attention', '@hip/testing')).toContain('not @hip/testing');
    expect(packageOf('@hip/kernels-cpu/tfjs')).toBe('@hip/kernels-cpu');
    expect(packageOf('node:fs')).toBeUndefined();
  });
});
