// The examples of a package's README and doc comments, taken out and made into programs that check what their comments say.
import { execFile } from 'node:child_process';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';

export { typeErrors, type Program } from './type-errors.ts';

/** One ```ts block. */
export interface Snippet {
  /** Path inside the package. */
  readonly file: string;
  readonly code: string;
}

/** The ```ts blocks of a Markdown file, or of a source file's doc comments, in order. */
export function snippetsOf(root: string, file: string): Snippet[] {
  const text = readFileSync(join(root, file), 'utf8').replaceAll(/^ *\* ?/gm, '');
  return [...text.matchAll(/```ts\n([\s\S]*?)```/g)].map((match) => ({ file, code: match[1]! }));
}

/** Those of README.md and of every source file of a package. */
export function packageSnippets(root: string): Snippet[] {
  return ['README.md', ...globSync('src/**/*.ts', { cwd: root })].flatMap((file) => snippetsOf(root, file));
}

/** A line that shows what it prints: `console.log(…); // => text`. */
const SHOWN = /^( *)console\.log\((.*)\); \/\/ => (.*)$/gm;

/**
 * `console.log(…); // => text` becomes a comparison of what is printed with that text. `first` is the number of its first check:
 * {@link SAME} says at the end which were never reached.
 */
export function withChecks(code: string, first = 0): { readonly code: string; readonly checks: number } {
  let checks = 0;
  const checked = code.replaceAll(
    SHOWN,
    (_, indent: string, args: string, text: string) =>
      `${indent}shows(${first + checks++}, ${JSON.stringify(text)}, ${args});`,
  );
  return { code: checked, checks };
}

/** Lines that print without saying what, and statements whose comment gives a value that nothing prints. */
export function unshownLines(code: string): string[] {
  const literal = /^(\[.*\]|-?[\d.]+|true|false|undefined|(["']).*\2)$/;
  return code.split('\n').filter((line) => {
    const [, statement, comment] = /^(\S.*;)(?: \/\/ (.*))?$/.exec(line) ?? [];
    if (statement === undefined || comment?.startsWith('=> ')) return false;
    if (statement.startsWith('console.')) return true;
    return !/^(const|let|import|await|using|return) /.test(statement) && literal.test(comment ?? '');
  });
}

/** Source of the comparison that checks call, and of `reached(n)`, which throws unless all of n checks were. */
export const SAME = `const reachedChecks = new Set();
  function shows(id, want, ...values) {
    reachedChecks.add(id);
    const got = process.getBuiltinModule('node:util').format(...values);
    if (got !== want) throw new Error('prints ' + JSON.stringify(got) + ', the comment says ' + JSON.stringify(want));
  }
  function reached(count) {
    const missed = Array.from({ length: count }, (_, id) => id).filter((id) => !reachedChecks.has(id));
    if (missed.length > 0) throw new Error('never reached: checks ' + missed.join());
  }`;

/** A snippet as a function of its own, called at once; its error names the file. Imports must be dynamic by now. */
export function inOwnScope({ file, code }: Snippet): string {
  return `await (async () => {\n${code}\n})().catch((error) => { throw new Error(${JSON.stringify(file)}, { cause: error }); });`;
}

/** Runs a program as a user of the package would, in a process of its own. */
export async function runProgram(
  program: string,
  cwd: string,
): Promise<{ readonly stdout: string; readonly stderr: string }> {
  return promisify(execFile)(process.execPath, ['--input-type=module-typescript', '--no-warnings', '-e', program], {
    cwd,
  });
}

/** Imports made dynamic, so that a snippet can stand inside a function. */
export function dynamicImports(code: string): string {
  return code
    .replaceAll(/^import [']([^']*)';/gm, "await import('$1');")
    .replaceAll(/^import \* as (\w+) from ('[^']*');/gm, 'const $1 = await import($2);')
    .replaceAll(
      /^import \{([^}]*)\} from ('[^']*');/gm,
      (_, names: string, module: string) =>
        `const {${names.replaceAll(/\btype \w+,?/g, '').replaceAll(/ as /g, ': ')}} = await import(${module});`,
    );
}

/** One program of all snippets: imports made dynamic, checks counted. It prints `all of them` at its end, if every check was reached. */
export function checkedProgram(snippets: readonly Snippet[]): { readonly program: string; readonly checks: number } {
  let checks = 0;
  const parts = snippets.map(({ file, code }) => {
    const checked = withChecks(code, checks);
    checks += checked.checks;
    return inOwnScope({ file, code: dynamicImports(checked.code) });
  });
  return { program: [SAME, ...parts, `reached(${checks});`, `console.log('all of them');`].join('\n'), checks };
}
