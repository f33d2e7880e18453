// What a strict project's compiler says of example programs, without writing them anywhere.
import { join } from 'node:path';

/** An example as a module of its own. */
export interface Program {
  /** For messages. */
  readonly name: string;
  readonly code: string;
  /** Folder whose packages its imports find. */
  readonly folder: string;
}

const ROOT = join(import.meta.dirname, '../../..');

/** Errors under this workspace's compiler options but `noUncheckedIndexedAccess`, which is more than `strict` asks. */
export async function typeErrors(programs: readonly Program[]): Promise<string[]> {
  // Most users of this package compile nothing.
  const { default: ts } = await import('typescript');
  const files = new Map(programs.map((program, i) => [join(program.folder, `example-${i}.ts`), program] as const));
  const { config } = ts.readConfigFile(join(ROOT, 'tsconfig.base.json'), (path) => ts.sys.readFile(path)) as {
    config: { compilerOptions: object };
  };
  const { options } = ts.convertCompilerOptionsFromJson(config.compilerOptions, ROOT);
  const strict = { ...options, noUncheckedIndexedAccess: false };
  const disk = ts.createCompilerHost(strict);
  const compiled = ts.createProgram([...files.keys()], strict, {
    ...disk,
    fileExists: (path) => files.has(path) || disk.fileExists(path),
    readFile: (path) => files.get(path)?.code ?? disk.readFile(path),
    getSourceFile: (path, languageVersion, ...rest) => {
      const code = files.get(path)?.code;
      return code === undefined
        ? disk.getSourceFile(path, languageVersion, ...rest)
        : ts.createSourceFile(path, code, languageVersion, true);
    },
  });
  return [...files].flatMap(([path, { name }]) => {
    const source = compiled.getSourceFile(path)!;
    return [...compiled.getSyntacticDiagnostics(source), ...compiled.getSemanticDiagnostics(source)].map(
      ({ start, messageText }) => {
        const { line } = source.getLineAndCharacterOfPosition(start!);
        return `${name}, line ${line + 1}: ${ts.flattenDiagnosticMessageText(messageText, '\n')}`;
      },
    );
  });
}
