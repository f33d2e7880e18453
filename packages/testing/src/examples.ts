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

/** `expression; // literal` becomes a call of {@link SAME}; says how many there were. */
export function withChecks(code: string): { readonly code: string; readonly checks: number } {
  let checks = 0;
  const checked = code.replaceAll(
    /^([^;={}\n]+(?:[<>=]+ [^;={}\n]+)?); \/\/ (\[.*\]|-?[\d.]+|true|false)$/gm,
    (_, expression: string, value: string) => {
      checks++;
      return `same(${expression}, ${value});`;
    },
  );
  return { code: checked, checks };
}

/** Source of the comparison that checks call. */
export const SAME = `function same(got, want) {
    if (JSON.stringify(got) !== JSON.stringify(want)) throw new Error(JSON.stringify(got) + ' is not ' + JSON.stringify(want));
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

/** One program of all snippets: imports made dynamic, checks counted. It prints `all of them` at its end. */
export function checkedProgram(snippets: readonly Snippet[]): { readonly program: string; readonly checks: number } {
  let checks = 0;
  const parts = snippets.map(({ file, code }) => {
    const checked = withChecks(code);
    checks += checked.checks;
    const body = checked.code.replaceAll(
      /^import \{([^}]*)\} from ('[^']*');/gm,
      (_, names: string, module: string) =>
        `const {${names.replaceAll(/\btype \w+,?/g, '')}} = await import(${module});`,
    );
    return inOwnScope({ file, code: body });
  });
  return { program: [SAME, ...parts, `console.log('all of them');`].join('\n'), checks };
}
