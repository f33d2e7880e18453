// node src/report/store.ts out/result.json: keeps a full run's result as benchmarks/results/demo.json and writes it into the README.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as v from 'valibot';
import { writeWhole } from '../pipeline/files.ts';
import { resultSchema, type DemoResult } from '../pipeline/result.ts';
import { REPOSITORY } from '../pipeline/text.ts';
import { alignColumns, contextRows, modelRows } from './headline.ts';

export const STORED = join(REPOSITORY, 'benchmarks/results/demo.json');
export const README = join(import.meta.dirname, '../../README.md');
const [BEGIN, END] = ['<!-- figures:begin -->', '<!-- figures:end -->'];

/** A stored result. @throws when it is of another shape */
export function readResult(path: string): DemoResult {
  return v.parse(resultSchema, JSON.parse(readFileSync(path, 'utf8')));
}

/** Without what only that machine can use. */
export function trim({ environment, ...rest }: DemoResult): DemoResult {
  const { options: _, ...kept } = environment;
  return { ...rest, environment: kept };
}

/** The README's tables of a result. */
export function figures(result: DemoResult): string {
  const { finetune, search, chosen, environment } = result;
  return [
    BEGIN,
    `${String(environment['cpu'])}, ${String(environment['cores'])} cores, ${String(environment['backend'])}: ${String(environment['elapsedSeconds'])} s by the clock, ${String(environment['processorSeconds'])} s of processor time; ${finetune.steps} steps in ${finetune.seconds.toFixed(0)} s, ${search.evaluations} sub-networks in ${search.seconds.toFixed(0)} s; chosen: ${chosen.rule}, ${chosen.layers} layers, heads ${chosen.heads.join(' ')}, FFN ${chosen.ffn.join(' ')}.`,
    `\`\`\`text\n${alignColumns(modelRows(result))}\n\n${alignColumns(contextRows(result))}\n\`\`\``,
    END,
  ].join('\n\n');
}

/** A text with its figures replaced. */
export function withFigures(text: string, result: DemoResult): string {
  const [begin, end] = [text.indexOf(BEGIN), text.indexOf(END)];
  if (begin < 0 || end < begin) throw new Error(`the text has no ${BEGIN} … ${END}`);
  return text.slice(0, begin) + figures(result) + text.slice(end + END.length);
}

if (import.meta.main) {
  const path = process.argv[2];
  if (path === undefined) throw new Error('give the path of a result.json');
  const result = trim(readResult(path));
  writeWhole(STORED, `${JSON.stringify(result, null, 1)}\n`);
  writeWhole(README, withFigures(readFileSync(README, 'utf8'), result));
}
