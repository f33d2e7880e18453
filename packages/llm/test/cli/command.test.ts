// Everything that a command line can get wrong is said in one line, with what to write instead.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { chatFolder } from '../helpers/chat-folder.ts';
import { command } from '../helpers/command.ts';

describe('a command line', () => {
  let folder: Awaited<ReturnType<typeof chatFolder>>;
  beforeAll(async () => {
    folder = await chatFolder();
    writeFileSync(join(folder.path, 'empty.txt'), ' \n');
  });
  afterAll(() => folder?.[Symbol.dispose]());

  const wrong: readonly (readonly [string, RegExp])[] = [
    ['--max_tokens 3', /did you mean --max-tokens\?/],
    ['--xyzzy', /use --model, --document/],
    ['--constructor', /there is no option --constructor/],
    ['--no-model', /no option --no-model/],
    ['-model x', /did you mean --model\?/],
    ['what', /belongs to no option/],
    ['', /give --model/],
    ['--model', /--model needs a value/],
    ['--model nowhere.gguf', /there is no such file or folder/],
    ['--model /', /no config\.json/],
    ['--model MODEL --max-tokens 1.5', /--max-tokens is "1.5": give a whole number ≥ 1/],
    ['--model MODEL --temperature hot', /--temperature is "hot": give a number ≥ 0/],
    ['--model MODEL --seed=', /--seed is ""/],
    ['--model MODEL --weights q3', /weights is "q3"/],
    ['--model MODEL --document gone.txt', /gone\.txt: there is no such file/],
    ['--model MODEL --document MODEL', /there is no such file/],
    ['--model MODEL --document MODEL/empty.txt', /holds no text/],
    ['--model MODEL --context 12', /\d+ tokens are needed and the context holds 12.*--context/],
  ];
  it.each(wrong)('is refused in one line: %s', async (line, message) => {
    const args = line.replaceAll('MODEL', folder.path).split(' ').filter(Boolean);
    const { code, stdout, stderr } = await command(args, { piped: 'x' });
    const last = stderr.trimEnd().split('\n').at(-1)!;
    expect(last).toMatch(message);
    expect(last).toMatch(/^hip-chat: /);
    expect(stderr).not.toMatch(/^ +at /m);
    expect([code, stdout]).toEqual([2, '']);
  });

  it('needs a question, or a terminal', async () => {
    const empty = await command(['--model', folder.path], { piped: ' \n' });
    expect(empty).toMatchObject({ code: 2, stderr: expect.stringContaining('nothing was piped in') });
    expect((await command(['--help'], { piped: '' })).stdout).toContain('--document');
  });
});
