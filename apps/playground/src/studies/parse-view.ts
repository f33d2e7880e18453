// A study in JSON: what this page exports. Checked before it is drawn.
import * as v from 'valibot';
import type { StudyView } from '@instatune/search/report';
import { PlaygroundError } from '../rpc/protocol.ts';

const value = v.union([v.number(), v.string(), v.boolean(), v.array(v.number())]);
const numbers = v.record(v.string(), v.number());
const whole = v.pipe(v.number(), v.integer());

const schema = v.object({
  name: v.string(),
  problem: v.optional(v.string()),
  tactic: v.optional(v.string()),
  seed: v.optional(v.number()),
  variables: v.array(
    v.object({
      name: v.string(),
      kind: v.string(),
      bounds: v.optional(v.tuple([v.number(), v.number()])),
      values: v.optional(v.array(v.union([v.string(), v.number(), v.boolean()]))),
    }),
  ),
  objectives: v.pipe(
    v.array(
      v.object({ name: v.string(), unit: v.optional(v.string()), direction: v.picklist(['minimize', 'maximize']) }),
    ),
    v.minLength(1),
  ),
  constraints: v.optional(v.array(v.looseObject({})), []),
  trials: v.array(
    v.object({
      number: whole,
      state: v.string(),
      values: v.record(v.string(), value),
      objectives: numbers,
      standardErrors: v.optional(numbers),
      round: v.optional(v.number()),
      origin: v.optional(v.string()),
      seconds: v.optional(v.number()),
      error: v.optional(v.string()),
    }),
  ),
  reference: v.optional(numbers),
});

/** @throws PlaygroundError `not-a-study` naming what is missing */
export function parseView(text: string, name: string): StudyView {
  const refuse = (why: string, cause?: unknown): PlaygroundError =>
    new PlaygroundError(
      'not-a-study',
      `${name} is no study (${why}): give a study file of instatune or Optuna (SQLite), or JSON that this page exported`,
      { cause },
    );
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw refuse('neither SQLite nor JSON', cause);
  }
  const parsed = v.safeParse(schema, json);
  if (parsed.success) return parsed.output as unknown as StudyView;
  const [issue] = parsed.issues;
  throw refuse(`${v.getDotPath(issue) ?? 'it'}: ${issue.message}`);
}
