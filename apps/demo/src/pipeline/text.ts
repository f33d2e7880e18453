// Where the demo's text comes from: the user's files, this repository's own sources, or type definitions on the machine.
import { existsSync, globSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createRequire } from 'node:module';
import { DemoError } from './errors.ts';

/** The workspace the demo lives in. */
export const REPOSITORY = resolve(dirname(fileURLToPath(import.meta.url)), '../../../..');

const SKIPPED = /(^|\/)(node_modules|dist|out|coverage|\.[^/]+|api)(\/|$)|\.generated\.ts$/;

export interface TextFile {
  readonly path: string;
  readonly text: string;
}

/** Reads the user's files. @throws DemoError `missing-file` */
export function readTextFiles(paths: readonly string[]): TextFile[] {
  return paths.map((path) => {
    if (!existsSync(path) || !statSync(path).isFile()) {
      throw new DemoError('missing-file', `there is no text file "${path}": give the path of an existing UTF-8 file`);
    }
    return { path, text: readFileSync(path, 'utf8') };
  });
}

/** This repository's own TypeScript and Markdown, in a fixed order: text the pretrained model never saw. */
export function repositoryText(root: string = REPOSITORY): TextFile[] {
  return globSync(['{packages,apps,benchmarks,docs,scripts}/**/*.{ts,mjs,md}', '*.md'], {
    cwd: root,
    exclude: (path) => SKIPPED.test(path),
  })
    .filter((path) => !SKIPPED.test(path))
    .sort()
    .map((path) => ({ path, text: readFileSync(join(root, path), 'utf8') }));
}

/** A long document of the same kind: the type definitions of TypeScript's own library, found on the machine. */
export function defaultDocument(): TextFile {
  const require = createRequire(join(REPOSITORY, 'package.json'));
  const library = dirname(require.resolve('typescript'));
  const files = ['lib.es5.d.ts', 'lib.webworker.d.ts'];
  const text = files.map((name) => readFileSync(join(library, name), 'utf8')).join('\n');
  return { path: relative(REPOSITORY, join(library, files[0]!)), text };
}
