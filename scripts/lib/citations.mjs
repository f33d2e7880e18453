// The files that comments and documents cite, so that a test can ask whether a reader has them.
import { existsSync, globSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import ts from 'typescript';

/** Endings of what a reader would look for as a file of this repository. */
const ENDINGS = 'md|ts|mts|mjs|cjs|js|json|ya?ml|wgsl|svg|png|sh|py';
const PATH = new RegExp(
  String.raw`(?<![\w@:/.\-{$*<])((?:\.{1,2}/)*(?:[\w@.-]+/)*[\w@-][\w@.-]*\.(?:${ENDINGS}))(?![\w/-]|\.\w)`,
  'g',
);
/** A folder beside the repository that only its maintainers have. */
const OUTSIDE = /\.\.\/shared[\w/.-]*/g;
const SECTION = /(docs\/specification\/\w+\.md) (§[\d.]+(?:(?:, |–| and )§[\d.]+)*)/g;

/** What the repository's people write. Not what is generated, installed or built. */
export function writtenFiles(root) {
  const skipped = /(^|\/)(node_modules|dist|out|api|\.turbo|\.tooling|\.snippets|cache)(\/|$)|\.generated\.ts$/;
  return globSync(
    [
      '*.{md,ts}',
      '{apps,benchmarks,docs,packages,scripts}/**/*.{ts,mts,mjs,md,vue}',
      'docs/.vitepress/**/*.{ts,mts,vue}',
      '.github/**/*.{md,yml}',
    ],
    { cwd: root, exclude: (path) => skipped.test(path) },
  )
    .map((path) => path.replaceAll('\\', '/'))
    .filter((path) => !skipped.test(path))
    .sort();
}

/** The comments of a TypeScript or JavaScript file, each with its line. */
export function commentsOf(text) {
  const source = ts.createSourceFile('file.ts', text, ts.ScriptTarget.Latest, true);
  const found = new Map();
  const visit = (node) => {
    for (const ranges of [ts.getLeadingCommentRanges(text, node.pos), ts.getTrailingCommentRanges(text, node.end)]) {
      for (const { pos, end } of ranges ?? []) found.set(pos, text.slice(pos, end));
    }
    for (const child of node.getChildren(source)) visit(child);
  };
  visit(source);
  return [...found].map(([at, comment]) => ({
    line: source.getLineAndCharacterOfPosition(at).line + 1,
    text: comment,
  }));
}

/** Code opens its user's files, and addresses are not paths: only what is said about them is looked at. */
const prose = (text) => text.replaceAll(/```[\s\S]*?```/g, ' ').replaceAll(/(?:https?|hf):\/\/[^\s)>\]]+/g, ' ');

/** Everything in a file that may be a citation, code included: most files have nothing that is missing, and need not be parsed. */
export function suspectsIn(text) {
  return [...new Set([...[...text.matchAll(PATH)].map(([, path]) => path), ...(text.match(OUTSIDE) ?? [])])];
}

/** Paths and file names that a comment or a document cites. */
export function citationsIn(text) {
  const said = prose(text);
  return [...new Set([...[...said.matchAll(PATH)].map(([, path]) => path), ...(said.match(OUTSIDE) ?? [])])];
}

/** Sections of the specification that a comment or a document cites: path and number each. */
export function sectionsIn(text) {
  return [...prose(text).matchAll(SECTION)].flatMap(([, path, sections]) =>
    [...sections.matchAll(/§(\d+(?:\.\d+)*)/g)].map(([, number]) => ({ path, number })),
  );
}

/** Names of no file of ours: what users have, what commands write, a place holder. */
function isForeign(path) {
  const bare = !path.includes('/');
  return (
    (bare && /\.(json|js)$/.test(path)) || // files of checkpoints and of users; TensorFlow.js
    path.endsWith('.d.ts') || // declarations of other packages
    path.startsWith('out/') ||
    path.startsWith('dist/') ||
    /^(?:\.\/)?my-/.test(path) ||
    /\bNAME\b/.test(path)
  );
}

/** A function that says whether a path means a file that is there: from the citing file, its package or the root; a bare name anywhere. */
export function resolverOf(root, files) {
  const names = new Set(files.map((file) => basename(file)));
  return (citing, path) => {
    if (isForeign(path)) return true;
    if (path.startsWith('../shared')) return false;
    const home = /^(packages|apps)\/[^/]+/.exec(citing)?.[0] ?? citing.split('/')[0];
    const places = [dirname(citing), '.', home, `${home}/src`, `${home}/test`, 'packages'];
    if (places.some((place) => existsSync(join(root, place, path)))) return true;
    return !path.includes('/') && (names.has(path) || existsSync(join(root, path)));
  };
}

/** Everything a file says: its comments, or the whole of a document. */
export function saidIn(file, text) {
  return /\.(ts|mts|mjs)$/.test(file) ? commentsOf(text) : [{ line: 1, text }];
}
