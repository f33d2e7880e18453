// No comment and no document cites a file, or a section of the specification, that a reader of the repository does not have.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  citationsIn,
  commentsOf,
  resolverOf,
  saidIn,
  sectionsIn,
  suspectsIn,
  writtenFiles,
} from '../lib/citations.mjs';

const ROOT = join(import.meta.dirname, '../..');
const files: string[] = writtenFiles(ROOT);

describe('citations', () => {
  it('exist', () => {
    expect(files.length).toBeGreaterThan(500);
    const exists = resolverOf(ROOT, files);
    const headings = new Map<string, string>();
    const hasSection = ({ path, number }: { path: string; number: string }): boolean => {
      if (!headings.has(path)) headings.set(path, readFileSync(join(ROOT, path), 'utf8'));
      return new RegExp(`^#{2,4} ${number.replaceAll('.', '\\.')}\\.? `, 'm').test(headings.get(path)!);
    };
    let sections = 0;
    const missing = files.flatMap((file) => {
      const text = readFileSync(join(ROOT, file), 'utf8');
      sections += sectionsIn(text).length;
      if (suspectsIn(text).every((path) => exists(file, path)) && sectionsIn(text).every(hasSection)) return [];
      return saidIn(file, text).flatMap((said: { line: number; text: string }) =>
        [
          ...citationsIn(said.text).filter((path) => !exists(file, path)),
          ...sectionsIn(said.text)
            .filter((section) => !hasSection(section))
            .map(({ path, number }) => `${path} §${number}`),
        ].map((citation) => `${file}:${said.line} cites ${citation}`),
      );
    });
    expect(missing).toEqual([]);
    expect(sections).toBeGreaterThan(25);
  });

  it('are found in comments, not in code or examples', () => {
    const code = [
      '// see a/b.ts and ./c.md (d.mjs)',
      "const path = 'x/y.ts'; // ../shared/spec/z.md",
      '/** docs/specification/hip.md §2, §3 and §8.1.\n * ```ts\n * read("own/file.ts");\n * ```\n */',
      'const t = `// e/f.ts`; const r = /\\/\\/ g.ts/;',
    ].join('\n');
    const comments = commentsOf(code);
    expect(comments.map(({ line }) => line)).toEqual([1, 2, 3]);
    const text = comments.map((comment) => comment.text).join('\n');
    expect(citationsIn(text)).toEqual([
      'a/b.ts',
      './c.md',
      'd.mjs',
      '../shared/spec/z.md',
      'docs/specification/hip.md',
    ]);
    expect(sectionsIn(text).map(({ number }) => number)).toEqual(['2', '3', '8.1']);
  });

  it('are missed where they are missing', () => {
    const exists = resolverOf(ROOT, files);
    expect(
      ['README.md', './lib/citations.mjs', 'citations.mjs', 'config.json'].map((path) => exists('scripts/x.mjs', path)),
    ).toEqual([true, true, true, true]);
    expect(
      ['spec.md', './lib/nothing.mjs', '../shared/spec/hip.md', 'docs/none.md'].map((path) =>
        exists('scripts/x.mjs', path),
      ),
    ).toEqual([false, false, false, false]);
  });
});
