// What of a lease's chains fits: bash benchmarks/device/lease.sh plan [GPUS SECONDS]. Milliseconds of steps are those measured before on H200s, three
// trainings side by side (known-models.md, benchmarks/results/instatune-known.json): the lease itself cuts by what it measures (within.ts).
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { EMBEDDINGS } from '../src/instatune/embeddings.ts';
import { stagesOf, type Stage } from '../src/instatune/stage-clock.ts';
import { TASKS, type Recipe } from '../src/instatune/tasks.ts';

/** Milliseconds of a step beside two other trainings, by stage; of a search, of one measurement. */
interface Cost {
  readonly plain: number;
  readonly distilled: number;
  readonly 'super-network': number;
  readonly search: number;
  readonly tuned: number;
  /** Seconds of everything else: weights, shaders, reports. */
  readonly beside: number;
}

const COSTS: Readonly<Record<string, Cost>> = {
  'sst2-minilm': { plain: 25, distilled: 75, 'super-network': 150, search: 700, tuned: 75, beside: 60 },
  embeddings: { plain: 75, distilled: 75, 'super-network': 240, search: 700, tuned: 75, beside: 170 },
  'smollm2-books': { plain: 280, distilled: 400, 'super-network': 700, search: 2500, tuned: 400, beside: 100 },
  'smollm2-typescript': { plain: 280, distilled: 400, 'super-network': 700, search: 2500, tuned: 400, beside: 100 },
  cifar10: { plain: 190, distilled: 110, 'super-network': 200, search: 700, tuned: 110, beside: 50 },
};

interface Job {
  readonly chain: string;
  readonly study: string;
  readonly section: string;
  readonly seconds: number;
  readonly kept: string;
  readonly recipe: Partial<Recipe> & Record<string, unknown>;
}

const [gpus = '1', total = '1640'] = process.argv.slice(2);
/** What `lease.sh begin` keeps for the last call. */
const end = Number(total) - 40;
const jobs = execFileSync('bash', [join(import.meta.dirname, 'lease.sh'), 'jobs', gpus], { encoding: 'utf8' })
  .trim()
  .split('\n')
  .map((line): Job => {
    const [, chain, study, section, , seconds, kept, recipe] = line.split('\t') as [string, ...string[]];
    return {
      chain: chain!,
      study: study!,
      section: section!,
      seconds: Number(seconds),
      kept: kept!,
      recipe: JSON.parse(recipe!) as Job['recipe'],
    };
  });

const print = (line: string) => process.stdout.write(`${line}\n`);
print(
  `${gpus} GPU${gpus === '1' ? '' : 's'}, ${total} s; three trainings share one. Steps that fit of those wanted, by today's milliseconds:`,
);
const until = new Map<string, { planned: number; free: number }>();
for (const { chain, study, section, seconds, kept, recipe } of jobs) {
  const cost = COSTS[section]!;
  const { planned, free } = until.get(chain) ?? { planned: 0, free: 0 };
  const deadline = seconds > 0 ? Math.min(end, planned + seconds) : end;
  const stages = stagesWanted(section, recipe).filter(({ name }) => name !== 'plain' || kept === study);
  const wanted = stages.map(({ name, steps }) => ({ name, steps, seconds: (steps * cost[name]) / 1000 }));
  const needed = wanted.reduce((sum, stage) => sum + stage.seconds, cost.beside);
  const time = Math.max(0, deadline - free);
  const share = Math.min(1, Math.max(0, time - cost.beside) / Math.max(1, needed - cost.beside));
  const fits = wanted.map(
    ({ name, steps }) => `${name} ${Math.floor(steps * share)}${share < 1 ? ` of ${steps}` : ''}`,
  );
  const ends = Math.min(deadline, free + needed);
  print(
    `${chain} ${study.padEnd(12)} ${clock(free)}–${clock(ends)} (until ${clock(deadline)}; needs ${needed.toFixed(0)} s)  ${fits.join(', ')}`,
  );
  until.set(chain, { planned: deadline, free: ends });
}

/** Steps of each training; of a search, sub-networks that are measured. */
function stagesWanted(section: string, recipe: Job['recipe']): { name: Stage['name']; steps: number }[] {
  if (section === 'embeddings') {
    const { direct = [], tune, steps } = { ...EMBEDDINGS, ...(recipe as Partial<typeof EMBEDDINGS>) };
    return direct.map(() => ({ name: 'tuned', steps: tune + steps }));
  }
  const whole: Recipe = { ...TASKS[section]!.recipe, ...recipe };
  const { steps, plain, tune = [], distilledSteps = steps, evaluations } = whole;
  const [tries, tunings] = [[...plain], [...tune]];
  return stagesOf(whole).map(({ name }) => ({
    name,
    steps: {
      plain: () => Math.round(steps * (tries.shift()?.steps ?? 1)),
      distilled: () => distilledSteps,
      'super-network': () => steps,
      search: () => evaluations,
      tuned: () => tunings.shift()?.steps ?? 0,
    }[name](),
  }));
}

function clock(seconds: number): string {
  return `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, '0')}`;
}
