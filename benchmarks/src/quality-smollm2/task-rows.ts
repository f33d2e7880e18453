// Rows of questions: how many each configuration answers, beside dense attention's answers to the same ones.
import { readFileSync } from 'node:fs';
import { sharedPath } from '@hip/testing';
import type { ElasticModel, TextTokenizer } from '@instatune/supernet';
import type { KeptRows } from '../kept.ts';
import { configurationOf, type Named } from './configurations.ts';
import { ask, paired } from './questions.ts';
import { TASKS, taskOf, type TaskName } from './tasks.ts';

const BOOKS = ['herman-melville_moby-dick.txt', 'leo-tolstoy_war-and-peace_louise-maude_aylmer-maude.txt'];
/** Tokens that run through the layers at once. */
export const CHUNK = 1024;

type Row = Record<string, unknown>;

export interface Asked {
  readonly tokens: number;
  readonly questions: number;
  /** @defaultValue all of tasks.ts */
  readonly tasks?: readonly string[] | undefined;
}

export interface Keeping {
  readonly log: (line: string) => void;
  readonly signal: AbortSignal;
  readonly kept: KeptRows;
  readonly stepOf: (...parts: readonly (string | number)[]) => string;
}

/** One row a task and configuration; dense among them, whose answers the others are compared with, question by question. */
export async function taskRows(
  { tokens, questions, tasks = Object.keys(TASKS) }: Asked,
  configurations: readonly Named[],
  model: ElasticModel,
  tokenizer: TextTokenizer,
  { log, signal, kept, stepOf }: Keeping,
): Promise<Row[]> {
  const books = BOOKS.map((file) => readFileSync(sharedPath('data', 'books', file)!, 'utf8').slice(400_000));
  const texts = books.map((book) => tokenizer.encode(book, { addSpecialTokens: false }));
  const all = [configurationOf('dense'), ...configurations.filter(({ name }) => name !== 'dense')];
  const rows: Row[] = [];
  for (const task of tasks as TaskName[]) {
    const right = all.map((): number[] => []);
    for (let seed = 0; right[0]!.length < questions; seed++) {
      signal.throwIfAborted();
      const drawn = taskOf(task, texts[seed % texts.length]!, tokenizer, { tokens, seed });
      const answers = await kept.of(stepOf('answers', task, tokens, seed), async () => {
        const found: Row[] = [];
        for (const named of all) found.push({ name: named.name, right: (await ask(model, drawn, named, CHUNK)).right });
        return found;
      });
      for (const [i, { right: own }] of answers.entries()) right[i]!.push(...(own as number[]));
    }
    log(`${task}: ${right[0]!.length} questions`);
    for (const [i, { name }] of all.entries()) {
      const { right: share, difference, interval } = paired(right[i]!, right[0]!);
      const figures = { right: share, ...(i > 0 && { difference, interval }) };
      const rounded = Object.entries(figures).map(([key, value]) => [key, Number(value.toFixed(4))]);
      rows.push({
        part: 'tasks',
        task,
        tokens,
        configuration: name,
        questions: right[i]!.length,
        ...Object.fromEntries(rounded),
      });
    }
  }
  return rows;
}
