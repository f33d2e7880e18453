import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { defaultDocument, readTextFiles, repositoryText } from '../../src/pipeline/text.ts';
import { newFolder } from '../helpers.ts';

describe('repositoryText', () => {
  it('is the TypeScript and Markdown of the workspace, without what is fetched, built or generated', () => {
    const files = repositoryText();
    const paths = files.map(({ path }) => path);
    expect(paths).toContain('apps/demo/src/pipeline/text.ts');
    expect(paths).toContain('README.md');
    expect(paths.filter((path) => /node_modules|(^|\/)dist\/|\.generated\.ts$|(^|\/)\./.test(path))).toEqual([]);
    expect(paths).toEqual([...paths].sort());
    expect(files.find(({ path }) => path === 'README.md')!.text.length).toBeGreaterThan(10);
  });

  it('skips folders of the same kinds in any tree', () => {
    const root = newFolder();
    const write = (path: string) => {
      mkdirSync(join(root, path, '..'), { recursive: true });
      writeFileSync(join(root, path), path);
    };
    [
      'packages/a/src/x.ts',
      'packages/a/node_modules/b/y.ts',
      'packages/a/dist/x.d.ts',
      'packages/a/src/z.generated.ts',
      'docs/guide.md',
      'docs/api/page.md',
      'docs/.vitepress/config.ts',
      'apps/d/out/r.md',
      'NOTES.md',
      'other/a.ts',
    ].forEach(write);
    expect(repositoryText(root)).toEqual(
      ['NOTES.md', 'docs/guide.md', 'packages/a/src/x.ts'].map((path) => ({ path, text: path })),
    );
  });
});

it('the default document is on the machine and long', () => {
  const { path, text } = defaultDocument();
  expect(path).toBe('typescript/lib/lib.webworker.d.ts');
  expect(text.length).toBeGreaterThan(32_768 * 4);
});

describe('readTextFiles', () => {
  it('reads files as they are', () => {
    const path = join(newFolder(), 'ü.txt');
    writeFileSync(path, 'naïve ✓\n');
    expect(readTextFiles([path], 'text')).toEqual([{ path, text: 'naïve ✓\n' }]);
  });

  it('says which option and file it cannot read', () => {
    expect(() => readTextFiles(['/nowhere/x'], 'document')).toThrow('--document "/nowhere/x" does not exist');
    const path = join(newFolder(), 'binary');
    writeFileSync(path, Buffer.from([0xff, 0xfe, 0x00]));
    expect(() => readTextFiles([path], 'text')).toThrow(`--text "${path}" is not UTF-8 text`);
  });
});
