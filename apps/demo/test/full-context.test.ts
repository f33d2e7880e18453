// A document as long as the model has positions, as in the whole demo: 32,768 of each.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as v from 'valibot';
import { expect, it } from 'vitest';
import { resultSchema } from '../src/pipeline/result.ts';
import { cli, newFolder, tinyCheckpoint, writeTexts } from './helpers.ts';

it('goes on from as much of it as leaves room for what is written', async () => {
  const folder = newFolder();
  const { text, document } = writeTexts(folder);
  const model = await tinyCheckpoint(join(folder, 'tiny'), 512);
  const settings =
    `--model ${model} --text ${text} --document ${document} --backend wasm --seed 5 --cost macs --out run ` +
    '--steps 4 --batch 2 --sequence 32 --evaluations 8 --lengths 256,512 --keys 64 --generate 12';
  const { code, err } = await cli(folder, ...settings.split(' '));
  expect(code, err).toBe(0);
  const { generation } = v.parse(resultSchema, JSON.parse(readFileSync(join(folder, 'run/result.json'), 'utf8')));
  expect(generation).toMatchObject({ tokens: 12, contextTokens: 500 });
});
