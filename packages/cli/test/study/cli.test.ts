import { execFile, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { parseHTML } from 'linkedom';
import { describe, expect, it } from 'vitest';
import { readStudy } from '@instatune/search/node';

const CLI = join(import.meta.dirname, '../../src/main.ts');
const KNOBS = join(import.meta.dirname, '../fixtures/knobs.ts');
const folder = mkdtempSync(join(tmpdir(), 'cli-'));

interface Outcome {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

async function cli(...args: string[]): Promise<Outcome> {
  try {
    const { stdout, stderr } = await promisify(execFile)(process.execPath, [CLI, ...args], { cwd: folder });
    return { code: 0, out: stdout, err: stderr };
  } catch (error) {
    const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string };
    return { code, out: stdout, err: stderr };
  }
}

describe('instatune', () => {
  it('search, front, export, resume on one file', async () => {
    const searched = await cli(
      'search',
      '--problem',
      'bert-synth',
      '--study',
      'a.db',
      '--evaluations',
      '30',
      '--population',
      '10',
      '--seed',
      '3',
      '--constraints',
      'macs <= 0.9x',
      '--html',
      'a.html',
    );
    expect(searched).toMatchObject({ code: 0 });
    expect(searched.out).toMatch(/30 evaluations, \d+ on the front, hypervolume \d+/);
    expect(searched.err).toContain('30/30 evaluations');

    const { document } = parseHTML(readFileSync(join(folder, 'a.html'), 'utf8'));
    expect(document.querySelectorAll('svg').length).toBe(2);
    expect(document.querySelectorAll('svg circle').length).toBeGreaterThan(30);
    expect(document.querySelectorAll('script, link[href], img').length).toBe(0);
    const front = readStudy(join(folder, 'a.db'));
    expect(document.body.textContent).toContain('macs <= 0.9x');

    const shown = await cli('front', '--study', 'a.db', '--budget', 'macs <= 0.6x');
    expect(shown).toMatchObject({ code: 0 });
    expect(shown.out).toMatch(/best accuracy within macs <= 0\.6x: trial \d+, macs \d/);
    expect(shown.out).toMatch(/layers \d+, /);

    const best = await cli('front', '--study', 'a.db', '--pick', '--optimize', 'accuracy');
    expect(best.out).toMatch(/best accuracy: trial \d+, macs \d/);

    const csv = await cli('export', 'csv', '--study', 'a.db');
    const rows = csv.out.trim().split('\r\n');
    expect(rows).toHaveLength(31);
    expect(rows[0]).toMatch(/^number,round,origin,status,macs,accuracy,layers,/);
    const json = await cli('export', 'json', '--study', 'a.db', '--out', 'a.json');
    expect(json).toMatchObject({ code: 0, out: '' });
    expect((JSON.parse(readFileSync(join(folder, 'a.json'), 'utf8')) as { trials: unknown[] }).trials).toEqual(
      JSON.parse(JSON.stringify(front.trials)),
    );

    const more = await cli('resume', '--study', 'a.db', '--evaluations', '40', '--threads', '2', '--quiet');
    expect(more).toMatchObject({ code: 0, err: '' });
    expect(more.out).toContain('40 evaluations');
    expect(
      readStudy(join(folder, 'a.db'))
        .trials.slice(30)
        .every(({ worker }) => worker?.startsWith('thread')),
    ).toBe(true);
    expect((await cli('front', '--study', 'a.db', '--list')).out).toBe(
      'default: bert-synth, linas, seed 3, 40 of 40 trials complete\n',
    );
  });

  it('a module with options, in threads, with a failing candidate', async () => {
    const options = JSON.stringify({ exitOn: 3 });
    const result = await cli(
      'search',
      '--problem',
      KNOBS,
      '--options',
      options,
      '--tactic',
      'random',
      '--study',
      'b.db',
      '--name',
      'knobs',
      '--evaluations',
      '12',
      '--population',
      '6',
      '--threads',
      '2',
      '--quiet',
    );
    expect(result).toMatchObject({ code: 0, err: '' });
    expect(result.out).toMatch(/12 evaluations \(\d+ failed\)/);
    const failed = readStudy(join(folder, 'b.db'), 'knobs').trials.filter(({ status }) => status === 'failed');
    expect(
      failed.every(({ genes, error, attempts }) => genes[0] === 3 && attempts === 2 && error!.includes('code 7')),
    ).toBe(true);
  });

  it('Ctrl-C leaves a study to resume', async () => {
    const child = spawn(
      process.execPath,
      [
        CLI,
        'search',
        '--problem',
        KNOBS,
        '--options',
        '{"delay":40}',
        '--study',
        'my c.db',
        '--evaluations',
        '500',
        '--population',
        '500',
        '--tactic',
        'random',
        '--threads',
        '1',
        '--html',
        'c.html',
      ],
      { cwd: folder },
    );
    let err = '';
    child.stderr.on('data', (text: Buffer) => (err += text.toString()));
    const exited = new Promise<number | null>((settle) => child.once('exit', settle));
    for (let i = 0; i < 600; i++) {
      await new Promise((settle) => setTimeout(settle, 20));
      try {
        if (
          statSync(join(folder, 'my c.db')).size > 0 &&
          readStudy(join(folder, 'my c.db')).trials.some(({ status }) => status === 'complete')
        )
          break;
      } catch {
        // not there yet
      }
    }
    child.kill('SIGINT');
    expect(await exited).toBe(130);
    expect(err).toMatch(
      /interrupted after \d+ evaluations; go on with: instatune resume --study 'my c\.db' --trust --threads 1 --html c\.html\n/,
    );
    const { trials } = readStudy(join(folder, 'my c.db'));
    expect(trials.some(({ status }) => status === 'complete')).toBe(true);
    expect(trials.some(({ status }) => status === 'pending')).toBe(true);
  });

  it('says its version', async () => {
    const { version } = JSON.parse(readFileSync(join(import.meta.dirname, '../../package.json'), 'utf8')) as {
      version: string;
    };
    expect(await cli('--version')).toEqual({ code: 0, out: `${version}\n`, err: '' });
    expect(await cli('-v')).toEqual({ code: 0, out: `${version}\n`, err: '' });
  });

  it.each([
    [['search'], '--problem'],
    [
      ['search', '--problem', './nothing.ts'],
      `cannot load problem "./nothing.ts": no file at ${join(realpathSync(folder), 'nothing.ts')}. Give a built-in`,
    ],
    [['search', '--problem', '/nothing.ts', '--threads', '2'], 'no file at /nothing.ts'],
    [['worker', '--problem', '../nothing.ts'], 'cannot load problem "../nothing.ts": no file at'],
    [['search', '--problem', 'bert-synth', '--evaluations', 'many'], '--evaluations is "many"'],
    [['search', '--problem', 'bert-synth', '--tactic', 'annealing'], 'use linas, nsga2, random, successive'],
    [
      ['search', '--problem', 'bert-synth', '--predictor', 'oracle', '--study', 'y.db'],
      'no predictor "oracle": use gaussian-process',
    ],
    [['search', '--problem', 'bert-synth', '--evaluation', '5'], 'no option --evaluation'],
    [
      ['search', '--problem', 'bert-synth', '-evaluations', '5'],
      'no option -evaluations (did you mean --evaluations?): use --problem',
    ],
    [['resume', '-n', '3'], 'no option -n: use --study'],
    [['export', 'csv', 'extra'], 'no argument "extra": use csv or json, --study'],
    [['worker', 'bert-synth'], 'no argument "bert-synth": use --problem'],
    [['--quiet', 'search', '--problem', 'bert-synth'], '--quiet before the command: use tune, search, resume'],
    [['--version', 'search'], '--version before the command'],
    [['front', '--study', 'a.db', '--optimize', 'accuracy'], 'add --pick, or --budget'],
    [['search', '--problem', 'bert-synth', '--constraints', 'size <= 3', '--study', 'z.db'], 'names "size"'],
    [['search', '--problem', 'bert-synth', '--study='], 'path of the study is empty'],
    [['search', '--problem', 'bert-synth', '--html', 'no/such/front.html'], '--html is "no/such/front.html"'],
    [['export', 'csv', '--out', 'no/such/trials.csv'], '--out is "no/such/trials.csv"'],
    [['resume', '--study', 'nowhere.db'], 'no study file at nowhere.db'],
    [['export', 'xml', '--study', 'nowhere.db'], 'use csv or json'],
    [['worker', '--problem', 'bert-synth', '--redis', 'redis://127.0.0.1:1'], 'no Redis at redis://127.0.0.1:1'],
  ])('%j ends with status 2 and one clear sentence', async (args, sentence) => {
    const { code, err } = await cli(...args);
    expect(code).toBe(2);
    expect(err).toContain(sentence);
    expect(err.trim().split('\n')).toHaveLength(1);
  });
});
