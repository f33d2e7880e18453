// What the commands share: their common arguments, evaluators, error output, and the end of a search.
import { existsSync, writeFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import type { ArgsDef } from 'citty';
import {
  candidateText,
  nearest,
  SearchError,
  shortNumber,
  type Evaluator,
  type SearchProblem,
  type SearchResult,
} from '@instatune/search';

export const studyArgs = {
  study: { type: 'string', description: 'the study file (SQLite)', valueHint: 'FILE', default: 'instatune.db' },
  name: { type: 'string', description: 'which study of the file', valueHint: 'NAME' },
} satisfies ArgsDef;

export const problemArgs = {
  problem: {
    type: 'string',
    description: 'a module that exports `problem` or `createProblem`, or bert-synth',
    valueHint: 'MODULE',
  },
  options: { type: 'string', description: "JSON handed to the module's createProblem", valueHint: 'JSON' },
} satisfies ArgsDef;

export const evaluatorArgs = {
  threads: {
    type: 'string',
    description: 'measure in this many worker threads (0: in this process)',
    valueHint: 'N',
    default: '0',
  },
  redis: { type: 'string', description: 'measure on the workers of this Redis or Valkey', valueHint: 'URL' },
  processes: { type: 'string', description: 'measure in this many child processes', valueHint: 'N' },
  'max-rss': { type: 'string', description: 'most memory of such a process', valueHint: 'MB' },
  retries: {
    type: 'string',
    description: 'how often a trial is tried again after its thread or process died',
    valueHint: 'N',
  },
  timeout: {
    type: 'string',
    description: 'seconds after which a measurement counts as hung (threads and processes)',
    valueHint: 'S',
  },
  html: { type: 'string', description: 'write the report here', valueHint: 'FILE' },
  quiet: { type: 'boolean', description: 'no progress', default: false },
} satisfies ArgsDef;

/** A whole number from the command line. @throws SearchError `invalid-option` */
export function whole(name: string, text: string | undefined, lowest: number): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (text.trim() === '' || !Number.isSafeInteger(value) || value < lowest) {
    throw new SearchError('invalid-option', `--${name} is "${text}": use a whole number ≥ ${lowest}`, {
      name,
      value: text,
    });
  }
  return value;
}

/** A comma- or semicolon-separated list. */
export function list(text: string | undefined): string[] {
  return (text ?? '')
    .split(/[,;]/)
    .map((part) => part.trim())
    .filter((part) => part !== '');
}

/** @throws SearchError `invalid-option` */
export function jsonObject(name: string, text: string | undefined): Record<string, unknown> {
  if (text === undefined) return {};
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  } catch {
    // said below
  }
  throw new SearchError('invalid-option', `--${name} is not a JSON object: ${text}`, { name, value: text });
}

/** @throws SearchError `invalid-option` for anything on the command line that would be passed over: an option or a word the command does not have, an option without its value */
export function rejectUnknown(rawArgs: readonly string[], definition: ArgsDef): void {
  const words = Object.entries(definition).filter(([, { type }]) => type === 'positional');
  const options = new Map(Object.entries(definition).filter(([, { type }]) => type !== 'positional'));
  const known = [...words.map(([, { description }]) => description), ...[...options.keys()].map((name) => `--${name}`)];
  const refuse = (what: string, argument: string, name = argument): never => {
    const meant = nearest(name, [...options.keys()]);
    const hint = meant === undefined ? '' : ` (did you mean --${meant}?)`;
    throw new SearchError('invalid-option', `${what}${hint}: use ${known.join(', ')}`, { argument });
  };
  let wordsLeft = words.length;
  for (let i = 0; i < rawArgs.length; i++) {
    const raw = rawArgs[i]!;
    if (!raw.startsWith('-')) {
      if (wordsLeft-- === 0) refuse(`no argument "${raw}"`, raw);
      continue;
    }
    const [, name = '', value] = /^--([^=]+)(=.*)?$/s.exec(raw) ?? [];
    const option = options.get(name);
    if (option?.type === 'boolean') continue;
    if (!option) {
      if (value === undefined && name.startsWith('no-') && options.get(name.slice(3))?.type === 'boolean') continue;
      refuse(`no option ${raw.replace(/=.*/s, '')}`, raw, raw.replace(/^-+|=.*/gs, ''));
    }
    if (value !== undefined) continue;
    const next = rawArgs[++i];
    // "--html --quiet" would write to a file of that name; "--seed -1" is a value, if a wrong one.
    if (next === undefined || /^--?[a-z]/i.test(next)) {
      throw new SearchError(
        'invalid-option',
        `--${name} has no value: write --${name} ${option?.valueHint ?? 'VALUE'}, with = between them if it starts with a dash`,
        { argument: raw },
      );
    }
  }
}

export interface EvaluatorChoice {
  readonly module: string;
  readonly options: Readonly<Record<string, unknown>>;
  readonly threads: string;
  readonly redis: string | undefined;
  readonly processes?: string | undefined;
  readonly 'max-rss'?: string | undefined;
  readonly retries?: string | undefined;
  readonly timeout: string | undefined;
}

/** @throws SearchError `invalid-option` where a file that is to be written at the end has no folder: better now than after the search */
export function checkOutput(name: string, path: string | undefined): void {
  if (path === undefined || (path !== '' && existsSync(dirname(resolve(path))))) return;
  throw new SearchError('invalid-option', `--${name} is "${path}": give a file in a folder that exists`, {
    name,
    path,
  });
}

/** The evaluator the options ask for; undefined: this process. Where there is none, the problem is freed: what it holds would keep the process from ending. */
export async function chooseEvaluator(problem: SearchProblem, choice: EvaluatorChoice): Promise<Evaluator | undefined> {
  try {
    return await evaluatorOf(problem, choice);
  } catch (error) {
    await problem.dispose?.();
    throw error;
  }
}

async function evaluatorOf(problem: SearchProblem, choice: EvaluatorChoice): Promise<Evaluator | undefined> {
  if (choice.redis !== undefined) {
    const { queueEvaluator } = await import('@instatune/search/queue');
    return queueEvaluator(problem, {
      url: choice.redis,
      onConnection: ({ message }) => process.stderr.write(`\n${message}\n`),
    });
  }
  const threads = whole('threads', choice.threads, 0) ?? 0;
  const processes = whole('processes', choice.processes, 1);
  const maxRssMb = whole('max-rss', choice['max-rss'], 64);
  if (maxRssMb !== undefined && processes === undefined)
    throw new SearchError('invalid-option', `--max-rss ${maxRssMb} holds for processes: add --processes`, { maxRssMb });
  const seconds = choice.timeout === undefined ? undefined : Number(choice.timeout);
  if (seconds !== undefined && !(seconds > 0))
    throw new SearchError('invalid-option', `--timeout is "${choice.timeout}": use seconds > 0`, {
      timeout: choice.timeout,
    });
  const retries = whole('retries', choice.retries, 0);
  const pool = {
    module: choice.module,
    options: choice.options,
    ...(retries === undefined ? {} : { retries }),
    ...(seconds === undefined ? {} : { timeoutMs: seconds * 1000 }),
  };
  if (processes !== undefined) {
    if (threads > 0)
      throw new SearchError('invalid-option', `--threads ${threads} and --processes ${processes}: use one of them`, {
        threads,
        processes,
      });
    const { processPool } = await import('@instatune/search/node');
    return processPool({ ...pool, processes, ...(maxRssMb === undefined ? {} : { maxRssMb }) });
  }
  if (threads === 0) return undefined;
  const { workerPool } = await import('@instatune/search/node');
  return workerPool({ ...pool, threads });
}

/** `--retries` for trials that end the searching process itself. */
export function processRetries(choice: { readonly retries?: string | undefined }): { readonly retries?: number } {
  const retries = whole('retries', choice.retries, 0);
  return retries === undefined ? {} : { retries };
}

/** The front as a table for the terminal. */
export function frontTable(result: SearchResult, problem: SearchProblem | undefined): string {
  const names = result.header.objectives.map(({ name }) => name);
  const others = Object.keys(result.front[0]?.values ?? {}).filter((name) => !names.includes(name));
  const reported = result.front.some(({ report }) => report !== undefined) ? names : [];
  const rows = [
    ['trial', ...names, ...others, ...reported.map((name) => `${name} (reported)`), 'candidate'],
    ...result.front.map(({ number, values, report, genes }) => [
      String(number),
      ...[...names, ...others].map((name) => shortNumber(values[name])),
      ...reported.map((name) => shortNumber(report?.[name])),
      candidateText(result.header.space as SearchProblem['space'], genes, problem?.describe?.bind(problem)),
    ]),
  ];
  const last = rows[0]!.length - 1;
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows
    .map((row) => row.map((cell, column) => (column === last ? cell : cell.padStart(widths[column]!))).join('  '))
    .join('\n');
}

/** Prints the front and writes the report. */
export async function finish(result: SearchResult, problem: SearchProblem, html: string | undefined): Promise<void> {
  const failed = result.trials.filter(({ status }) => status === 'failed').length;
  process.stdout.write(`${frontTable(result, problem)}\n`);
  process.stdout.write(
    `${result.trials.length} evaluations${failed === 0 ? '' : ` (${failed} failed)`}, ${result.front.length} on the front, hypervolume ${shortNumber(result.hypervolume)}\n`,
  );
  if (html === undefined) return;
  const { renderReport } = await import('@instatune/search/report');
  writeFileSync(html, renderReport(result, { describe: problem.describe?.bind(problem) }));
  process.stdout.write(`report: ${html}\n`);
}
