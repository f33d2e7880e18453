// What a run remembers in one small JSON file: what it is a run of, and the results of finished stages.
import * as v from 'valibot';
import { TuneError } from '../errors.ts';

const values = v.record(v.string(), v.number());
const seconds = v.record(v.string(), v.number());

const schema = v.object({
  version: v.literal(1),
  /** Change where a stage would come out differently. */
  keys: v.object({ load: v.string(), train: v.string(), search: v.string() }),
  /** Weights that were not in the checkpoint. */
  newWeights: v.optional(v.array(v.string())),
  /** Milliseconds of the full network: the unit of all latencies. */
  fullLatency: v.optional(v.number()),
  chosen: v.optional(v.object({ key: v.string(), genes: v.array(v.number()), number: v.number() })),
  reconstructed: v.optional(v.object({ key: v.string(), kept: v.boolean(), before: values, after: values })),
  refined: v.optional(v.object({ key: v.string(), kept: v.boolean(), values })),
  measured: v.optional(v.object({ key: v.string(), full: values, small: values })),
  /** Seconds of each stage, over all the runs it took. */
  seconds,
});

export type RunRecord = v.InferOutput<typeof schema>;

/** @throws TuneError `other-run` */
export function parseRecord(text: string, place: string): RunRecord {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    // said below
  }
  const parsed = v.safeParse(schema, json);
  if (parsed.success) return parsed.output;
  throw new TuneError(
    'other-run',
    `${place} is not the record of a run of this version (${parsed.issues[0].message}): use another folder, or --fresh to begin anew`,
    { place },
  );
}
