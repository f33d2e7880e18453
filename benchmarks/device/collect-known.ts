// Adds a lease's rows to benchmarks/results/instatune-known.json: node benchmarks/device/collect-known.ts FOLDER RUN, where FOLDER is what
// `lease.sh bring` packed (a folder a study, NAME/partial.json) and RUN the letter of the run; rows of the same run are replaced. Of tasks with several
// seeds it adds the mean, the spread and the mean difference to the plain networks over the same examples, with its 95 % interval.
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { pairedError, unpackHits } from '../src/instatune/per-example.ts';
import { round } from '../src/instatune/rows.ts';

type Row = Record<string, unknown> & { readonly task: string; readonly row: string; readonly seed?: number };

/** What depends on how many trainings shared a GPU. */
const TIMES = new Set(['trainingSeconds', 'msPerStep', 'latencyMs', 'seconds', 'timeAgainstPlain']);

const [folder, run] = process.argv.slice(2);
if (!folder || !run) throw new Error('give the folder of studies and the letter of the run: collect-known.ts out c');
const studies = readdirSync(folder).filter((name) => existsSync(join(folder, name, 'partial.json')));
const found = studies.flatMap((study) => {
  const { rows } = JSON.parse(readFileSync(join(folder, study, 'partial.json'), 'utf8')) as { rows: readonly Row[] };
  const seed = rows.find((row) => row.seed !== undefined)?.seed ?? 0;
  // A study of depths shares its plain network with the one that it is held against.
  const named = study.endsWith('-depth') ? rows.filter(({ row }) => /sub-network/.test(row)).map(asPrefix) : rows;
  return named.filter(({ row }) => !/latency/.test(row)).map((row): Row => ({ ...row, seed, run }));
});

/** A depth prefix is a sub-network that no search found. */
function asPrefix(row: Row): Row {
  return { ...row, row: row.row.replace('sub-network', 'depth prefix') };
}

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
const spread = (values: readonly number[]): number =>
  Math.sqrt(values.reduce((sum, value) => sum + (value - mean(values)) ** 2, 0) / Math.max(1, values.length - 1));

const hitsIn = (row: Row, count: number): Float64Array => unpackHits(row['hits'] as string, count);

/** Of each example, the mean over several networks. */
const meanHits = (rows: readonly Row[], count: number): Float64Array => {
  const each = rows.map((row) => hitsIn(row, count));
  return Float64Array.from({ length: count }, (_, example) => mean(each.map((hits) => hits[example] as number)));
};

/** The example count whose accuracy the bits give. */
function countOf(row: Row): number {
  const count = Number(/\d[\d,]*(?=\))/.exec(String(row['reported']))?.[0]?.replace(',', ''));
  if (!(count > 0)) throw new Error(`${row.task}: how many examples does ${String(row['reported'])} have?`);
  const accuracy = mean([...hitsIn(row, count)]);
  if (Math.abs(accuracy - (row['accuracy'] as number)) > 1e-4)
    throw new Error(`${row.task}, ${row.row}: ${count} bits give ${accuracy}, the row says ${String(row['accuracy'])}`);
  return count;
}

function overSeeds(task: string): Row[] {
  const own = found.filter((row) => row.task === task && row['hits'] !== undefined);
  const plain = own.filter(({ row }) => row === 'plain fine-tune');
  if (plain.length < 2) return [];
  const count = countOf(plain[0] as Row);
  const summary = (what: string, rows: readonly Row[]): Row => {
    const accuracy = rows.map((row) => row['accuracy'] as number);
    const base = {
      task,
      row: 'over seeds',
      what,
      run,
      accuracy,
      mean: round(mean(accuracy), 4),
      spread: round(spread(accuracy), 4),
      steps: rows.map((row) => row['steps'] as number),
    };
    if (rows[0]?.row === 'plain fine-tune') return base as unknown as Row;
    const references = rows.map((row) => plain.find(({ seed }) => seed === row.seed) as Row);
    // Seeds are not independent over examples: an example's numbers are averaged first.
    const [mine, theirs] = [meanHits(rows, count), meanHits(references, count)];
    const level = mean([...theirs]);
    const difference = mean([...mine]) - level;
    const error = 1.96 * pairedError(mine, theirs);
    return {
      ...base,
      fewerMacs: rows.map((row) => round(row['fewerMacs'] as number, 3)),
      againstPlain: round(difference / level, 4),
      interval: [round((difference - error) / level, 4), round((difference + error) / level, 4)],
      eachSeed: rows.map((row, i) => {
        const plainly = (references[i] as Row)['accuracy'] as number;
        return round((mean([...hitsIn(row, count)]) - mean([...hitsIn(references[i] as Row, count)])) / plainly, 4);
      }),
    } as unknown as Row;
  };
  const shares = [
    ...new Set(own.filter(({ row }) => row === 'sub-network, fine-tuned on').map((row) => row['bestWithin'])),
  ];
  return [
    summary('plain fine-tune', plain),
    ...shares.map((share) =>
      summary(
        `sub-network, fine-tuned on, within ${String(share)}`,
        own.filter((row) => row.row === 'sub-network, fine-tuned on' && row['bestWithin'] === share),
      ),
    ),
  ];
}

const rows = [...found, ...[...new Set(found.map(({ task }) => task))].flatMap(overSeeds)].map((row) =>
  Object.fromEntries(
    Object.entries({
      ...row,
      ...(row.task.startsWith('SmolLM2') &&
        typeof row['loss'] === 'number' && { perplexity: round(Math.exp(row['loss']), 2) }),
    }).filter(([name]) => name !== 'hits' && !TIMES.has(name)),
  ),
);
const target = fileURLToPath(new URL('../results/instatune-known.json', import.meta.url));
const document = JSON.parse(readFileSync(target, 'utf8')) as { rows: Row[] };
document.rows = [...document.rows.filter((row) => row['run'] !== run), ...(rows as Row[])];
writeFileSync(target, `${JSON.stringify(document, undefined, 2)}\n`);
process.stdout.write(`${rows.length} rows of run ${run} from ${studies.join(', ')}\n`);
