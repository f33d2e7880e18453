// Every way to give the command line something it cannot use: status 2 and one sentence that says what and how to mend it.
import { cpSync, mkdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, it } from 'vitest';
import { cli, inProcess, newFolder, tinyCheckpoint, writeTexts } from './helpers.ts';

const folder = newFolder();
const at = (name: string): string => join(folder, name);
let files: string[];

beforeAll(async () => {
  const { text, document } = writeTexts(folder);
  await tinyCheckpoint(at('tiny'));
  files = ['--text', text, '--document', document, '--backend', 'cpu'];
  writeFileSync(at('short.txt'), 'too short to learn anything from');
  writeFileSync(at('latin1.txt'), Buffer.from([0x63, 0x61, 0x66, 0xe9, 0x0a]));
  cpSync(at('tiny'), at('torn'), { recursive: true });
  truncateSync(join(at('torn'), 'model.safetensors'), 20_000);
  cpSync(at('tiny'), at('garbled'), { recursive: true });
  writeFileSync(join(at('garbled'), 'config.json'), '{"model_type": "llama",');
  cpSync(at('tiny'), at('wrong'), { recursive: true });
  writeFileSync(
    join(at('wrong'), 'expected-logits.json'),
    JSON.stringify({ prompt: 'a', ids: tokenIds(), logits: [{ id: 5, logit: 100 }], tolerance: 0.01 }),
  );
  mkdirSync(at('empty'));
});

/** Ids of "a", as the committed expectation would hold them. */
function tokenIds(): number[] {
  const { model } = JSON.parse(readFileSync(join(at('tiny'), 'tokenizer.json'), 'utf8')) as {
    model: { vocab: Record<string, number> };
  };
  return [model.vocab['a']!];
}

const cases: readonly (readonly [string, () => readonly string[], RegExp])[] = [
  [
    'a text that is not there',
    () => ['--text', 'nowhere.txt'],
    /^demo: --text ".*nowhere\.txt" does not exist: give the path of a UTF-8 text file\n$/,
  ],
  [
    'a second text that is not there',
    () => ['--text', at('text.ts'), 'nowhere.txt'],
    /^demo: --text ".*nowhere\.txt" does not exist/,
  ],
  ['a folder for a text', () => ['--text', at('empty')], /^demo: --text ".*empty" is no file/],
  [
    'a text in another encoding',
    () => ['--text', at('latin1.txt')],
    /^demo: --text ".*latin1\.txt" is not UTF-8 text: convert it first\n$/,
  ],
  [
    'a document that is not there',
    () => ['--document', 'nowhere.txt'],
    /^demo: --document ".*nowhere\.txt" does not exist/,
  ],
  [
    'a text too short',
    () => [...files, '--model', at('tiny'), '--text', at('short.txt'), '--sequence', '512'],
    /^.*\ndemo: the text has \d+ tokens, fine-tuning needs at least 6156: give more or longer files with --text\n$/s,
  ],
  [
    'a document too short',
    () => [...files, '--model', at('tiny'), '--sequence', '32', '--document', at('short.txt'), '--lengths', '256'],
    /\ndemo: the document has \d+ tokens, the long-context run needs at least 256: give a longer file with --document\n$/,
  ],
  [
    'lengths beyond the model',
    () => [...files, '--model', at('tiny'), '--sequence', '32', '--lengths', '8192'],
    /\ndemo: --lengths starts at 8192, and the model has 4096 positions: give shorter --lengths\n$/,
  ],
  [
    'a model folder that is not there',
    () => [...files, '--model', at('nowhere')],
    /\ndemo: ".*nowhere" holds no config\.json: give --model the folder of a Hugging Face checkpoint\n$/,
  ],
  [
    'a torn checkpoint',
    () => [...files, '--model', at('torn')],
    /\ndemo: the checkpoint in ".*torn" cannot be used: .+\n$/,
  ],
  [
    'a garbled configuration',
    () => [...files, '--model', at('garbled')],
    /\ndemo: the checkpoint in ".*garbled" cannot be used: .*config\.json is not JSON\n$/,
  ],
  [
    'a checkpoint with other logits',
    () => [...files, '--model', at('wrong')],
    /\ndemo: logits of the check prompt differ by .*: the checkpoint in ".*wrong" or this backend is broken\n$/,
  ],
  [
    'an option that is not there',
    () => ['--tezt', 'a.txt'],
    /^demo: there is no option --tezt \(the nearest is --text\): use --text, --document, /,
  ],
  ['an option without its value', () => ['--seed', '--quick'], /^demo: --seed needs a value\n$/],
  [
    'a word that belongs to nothing',
    () => ['--quick', 'notes.txt'],
    /^demo: "notes\.txt" belongs to no option: files to fine-tune on go after --text\n$/,
  ],
  ['a seed that is none', () => ['--seed', 'x'], /^demo: --seed is "x": use a number\n$/],
  [
    'a budget that is none',
    () => ['--budget', 'latency=0.6x'],
    /^demo: --budget: "latency=0\.6x" is not a constraint: write e\.g\. /,
  ],
  [
    'keys that HiP has no whole chunks of',
    () => [...files, '--model', at('tiny'), '--keys', '101'],
    /^demo: --keys is 101: use a multiple of 2\n$/,
  ],
  [
    'a file for the folder of the results',
    () => [...files, '--model', at('tiny'), '--out', at('short.txt')],
    /^demo: --out is ".*short\.txt", which is a file or lies in one: give a folder of your own\n$/,
  ],
  [
    'a folder for the results in what is no folder',
    () => [...files, '--model', at('tiny'), '--out', '/dev/null/x'],
    /^demo: --out is "\/dev\/null\/x", which is a file or lies in one: give a folder of your own\n$/,
  ],
  [
    'a file for the folder of a run to resume',
    () => ['--resume', '--out', at('short.txt')],
    /^demo: there is no run to resume in ".*short\.txt": start one without --resume\n$/,
  ],
  [
    'a budget no candidate keeps',
    () => [
      ...files,
      '--model',
      at('tiny'),
      '--sequence',
      '32',
      '--steps',
      '1',
      '--batch',
      '1',
      '--evaluations',
      '4',
      '--cost',
      'macs',
      '--lengths',
      '64',
      '--backend',
      'wasm',
      '--budget',
      'macs <= 0.01x',
      '--out',
      'tight',
    ],
    /\ndemo: no point of the front is within the budget: "macs <= 0\.01x" asks for macs <= .*: widen --budget or --max-loss\n$/,
  ],
];

it.each(cases)('%s', async (_, argumentsOf, sentence) => {
  const { code, out, err } = await inProcess(folder, ...argumentsOf());
  expect({ code, out }).toEqual({ code: 2, out: '' });
  expect(err).toMatch(sentence);
  // One sentence, no stack.
  expect(err.split('\n').filter((line) => line.startsWith('demo: '))).toHaveLength(1);
  expect(err).not.toMatch(/^\s+at /m);
});

it('the process ends with that status', async () => {
  const { code, out, err } = await cli(folder, '--text', 'nowhere.txt');
  expect({ code, out }).toEqual({ code: 2, out: '' });
  expect(err).toMatch(/^demo: --text ".*nowhere\.txt" does not exist: give the path of a UTF-8 text file\n$/);
});

it('--help names every option', async () => {
  const { code, out } = await inProcess(folder, '--help');
  expect(code).toBe(0);
  for (const name of ['text', 'document', 'budget', 'max-loss', 'seed', 'quick', 'resume', 'out', 'model', 'backend']) {
    expect(out).toContain(`--${name}`);
  }
});
