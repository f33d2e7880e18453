// Where the demo's text comes from: the user's files, this repository's own sources, or type definitions on the machine.
import { globSync, readFileSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { DemoError } from './errors.ts';

/** The workspace the demo lives in. */
export const REPOSITORY = resolve(dirname(fileURLToPath(import.meta.url)), '../../../..');

/** Fetched, built or generated, or hidden: not the repository's own text. */
const SKIPPED = /(^|\/)(node_modules|dist|out|coverage|api|\.[^/]+)(\/|$)|\.generated\.ts$/;

export interface TextFile {
  readonly path: string;
  readonly text: string;
}

/** Reads the user's files. @throws DemoError `missing-file`, `invalid-option` for a file that is no text */
export function readTextFiles(paths: readonly string[], option: 'text' | 'document'): TextFile[] {
  return paths.map((path) => {
    const stats = statSync(path, { throwIfNoEntry: false });
    if (!stats?.isFile()) {
      const what = stats ? 'is no file' : 'does not exist';
      throw new DemoError('missing-file', `--${option} "${path}" ${what}: give the path of a UTF-8 text file`);
    }
    const bytes = readFileSync(path);
    let text: string;
    try {
      text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    } catch (cause) {
      throw new DemoError('invalid-option', `--${option} "${path}" is not UTF-8 text: convert it first`, { cause });
    }
    return { path, text };
  });
}

/** This repository's own TypeScript and Markdown, in a fixed order: text the pretrained model never saw. */
export function repositoryText(root: string = REPOSITORY): TextFile[] {
  return globSync(['{packages,apps,benchmarks,docs,scripts}/**/*.{ts,mjs,md}', '*.md'], {
    cwd: root,
    exclude: (path) => SKIPPED.test(path.split(sep).join('/')),
  })
    .map((path) => path.split(sep).join('/'))
    .filter((path) => !SKIPPED.test(path))
    .sort()
    .map((path) => ({ path, text: readFileSync(join(root, path), 'utf8') }));
}

/** A long document of the same kind: the type definitions of TypeScript's own library, found on the machine. */
export function defaultDocument(): TextFile {
  const require = createRequire(join(REPOSITORY, 'package.json'));
  const library = dirname(require.resolve('typescript'));
  const path = join(library, 'lib.webworker.d.ts');
  return { path: 'typescript/lib/lib.webworker.d.ts', text: readFileSync(path, 'utf8') };
}
