// Tables are read the same where objects have no `__proto__`, as in Deno: the other build of csv-parse is taken there.
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';

const PROGRAM = `
  import { parseLabelledTexts } from './src/data/delimited.ts';
  async function* pieces() { for (const piece of ['sentence,lab', 'el\\n"a ""b', '"",\\nc",1\\n', ...Array.from({ length: 5000 }, (_, i) => 'd' + i + ',0\\n')]) yield piece; }
  const rows = await parseLabelledTexts(pieces(), { delimiter: ',' });
  console.log(JSON.stringify([rows.length, rows[0], rows.at(-1)]));
  await parseLabelledTexts('sentence,label\\n"open,1\\n', { delimiter: ',' }).catch(({ code }) => console.log(code));`;

it.each([[[]], [['--disable-proto=delete']]])('node %j', async (flags: readonly string[]) => {
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ['--no-warnings', ...flags, '--input-type=module-typescript', '-e', PROGRAM],
    { cwd: join(import.meta.dirname, '../..') },
  );
  const rows = [5001, { text: 'a "b",\nc', label: 1 }, { text: 'd4999', label: 0 }];
  expect(stdout).toBe(`${JSON.stringify(rows)}\ninvalid-data\n`);
});
