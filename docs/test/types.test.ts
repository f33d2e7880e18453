// The examples of the guides and of every README are TypeScript as a strict project takes it.
import { globSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import ts from 'typescript';
import { expect, it } from 'vitest';
import { examplesOf } from './examples.ts';

const DOCS = join(import.meta.dirname, '..');
const ROOT = join(DOCS, '..');
const pages = globSync(['docs/guide/*.md', 'packages/*/README.md', 'README.md'], { cwd: ROOT }).sort();
const examples = pages
  .flatMap((page) => examplesOf(join(ROOT, page), page))
  // Fragments that show one call need names from around them.
  .filter(({ code }) => code.includes('import '));

it('the examples compile', { timeout: 120_000 }, () => {
  expect(examples.length).toBeGreaterThan(35);
  // Beside the package that shows them, so that imports are resolved as there.
  const files = new Map(
    examples.map(({ name, code }) => {
      const [page] = name.split(' ') as [string];
      const folder = page.startsWith('packages/') ? join(ROOT, dirname(page)) : DOCS;
      return [join(folder, `example-${basename(name.replaceAll(/[ /]/g, '-'))}.ts`), { name, code }] as const;
    }),
  );
  const { config } = ts.readConfigFile(join(ROOT, 'tsconfig.base.json'), (path) => ts.sys.readFile(path)) as {
    config: { compilerOptions: object };
  };
  const { options } = ts.convertCompilerOptionsFromJson(config.compilerOptions, ROOT);
  // Not what this workspace asks of itself beyond `strict`.
  const strict = { ...options, noUncheckedIndexedAccess: false, types: ['node'] };
  const disk = ts.createCompilerHost(strict);
  const host: ts.CompilerHost = {
    ...disk,
    fileExists: (path) => files.has(path) || disk.fileExists(path),
    readFile: (path) => files.get(path)?.code ?? disk.readFile(path),
    getSourceFile: (path, languageVersion, ...rest) => {
      const code = files.get(path)?.code;
      return code === undefined
        ? disk.getSourceFile(path, languageVersion, ...rest)
        : ts.createSourceFile(path, code, languageVersion, true);
    },
  };
  const program = ts.createProgram([...files.keys()], strict, host);
  const wrong = [...files].flatMap(([path, { name }]) => {
    const source = program.getSourceFile(path)!;
    return [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)].map(
      ({ start, messageText }) => {
        const { line } = source.getLineAndCharacterOfPosition(start!);
        return `${name}, line ${line + 1}: ${ts.flattenDiagnosticMessageText(messageText, '\n')}`;
      },
    );
  });
  expect(wrong).toEqual([]);
});
