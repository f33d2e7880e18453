// What makes a run the same one: its model however its path is written, its images whatever folder they lie in.
import { cpSync, readdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { imageTask } from '../../src/data/images.ts';
import { readData } from '../../src/files/read-data.ts';
import { Journal } from '../../src/run/journal.ts';
import { plainLocation } from '../../src/run/keys.ts';
import { memoryRun, type RunStore } from '../../src/run/store.ts';
import { tune } from '../../src/run/tune.ts';
import { readCard } from '../../src/steps/head.ts';
import { imageFolders, newFolder, reviewsCsv, tinyBert } from '../helpers/tiny.ts';

const folder = newFolder();

beforeAll(async () => {
  await tinyBert(join(folder, 'bert'));
  reviewsCsv(folder);
  await imageFolders(folder);
});

describe('a location', () => {
  it.each([
    ['m', 'm'],
    ['./m', 'm'],
    ['m/', 'm'],
    ['.\\m\\', 'm'],
    ['a/.//m', 'a/m'],
    ['/a/./m/', '/a/m'],
    ['../m', '../m'],
    ['a/../m', 'a/../m'],
    ['.', '.'],
    ['./', '.'],
    ['/', '/'],
    ['hf://owner/name@main', 'hf://owner/name@main'],
    ['https://host/a/./b/', 'https://host/a/./b/'],
  ])('%s is %s', (given, plain) => {
    expect(plainLocation(given)).toBe(plain);
  });
});

describe('a run', () => {
  const settings = { budget: 'macs <= 0.8x', steps: 2, tuneSteps: 1, evaluations: 6, population: 3 };
  const go = async (store: RunStore, model: string) => {
    const card = { ...(await readCard(model)), location: model };
    const given = { train: join(folder, 'train.csv'), text: 'sentence', label: 'verdict', seed: 1 };
    const outcome = await tune({ model, card, data: await readData(model, card, given), settings, store });
    outcome.model.dispose();
    return (await store.read())!.keys;
  };

  it('goes on with its model under another spelling of the path', async () => {
    const store = memoryRun();
    const keys = await go(store, join(folder, 'bert'));
    expect(await go(store, `${folder}/./bert/`)).toEqual(keys);
  });

  it('goes on where its record has the path as it was typed, and not where that was another', async () => {
    const [typed, plain] = ['typed', 'plain'].map((load) => ({ load, train: `${load} t`, search: `${load} s` }));
    const store = memoryRun();
    await store.write({ version: 1, keys: typed!, seconds: {} });
    const journal = new Journal(store, undefined);
    await journal.open(plain!, [], typed);
    expect(journal.record.keys).toEqual(typed);
    await expect(journal.open(plain!, [], { ...typed!, train: 'others' })).rejects.toThrow('other steps');
    await expect(journal.open(plain!, [])).rejects.toThrow('another model');
  });
});

describe('a folder of images', () => {
  const fingerprint = async (path: string) =>
    (await imageTask(path, { patchSize: [2, 2], imageSize: [8, 8], channels: 3, prefixTokens: 1 })).fingerprint;

  it('is the same wherever it lies, and another where one image was replaced under its own name', async () => {
    const before = await fingerprint(join(folder, 'images'));
    const moved = join(folder, 'elsewhere');
    cpSync(join(folder, 'images'), moved, { recursive: true });
    expect(await fingerprint(moved)).toBe(before);
    const [one, other] = readdirSync(moved).map((name) => join(moved, name));
    const [from, to] = [one!, other!].map((name) => join(name, readdirSync(name).at(0)!));
    renameSync(from!, `${from!}.kept`);
    cpSync(to!, from!);
    expect(await fingerprint(moved)).not.toBe(before);
  });
});
