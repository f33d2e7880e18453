// Studies as JSON and as a table, without a browser.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { viewCsv } from '../../src/studies/export.ts';
import { parseView } from '../../src/studies/parse-view.ts';
import { studyFiles, type StudyFiles } from './files.ts';

let files: StudyFiles;
beforeAll(async () => {
  files = await studyFiles();
});
afterAll(() => files?.[Symbol.dispose]());

describe('a study in JSON', () => {
  it('is read as it was written', () => expect(parseView(JSON.stringify(files.view), 'a.json')).toEqual(files.view));

  it.each(['', '[]', '{"name": 1}', JSON.stringify({ name: 'x', variables: [], objectives: [], trials: [] })])(
    'refuses %s',
    (json) => {
      expect(() => parseView(json, 'a.json')).toThrow(expect.objectContaining({ code: 'not-a-study' }));
    },
  );

  it('becomes a table that no spreadsheet computes', () => {
    const { view } = files;
    const lines = viewCsv(view).trim().split('\r\n');
    expect(lines).toHaveLength(31);
    expect(lines[0]).toBe(
      ['number', 'state', ...view.variables.map(({ name }) => name), ...view.objectives.map(({ name }) => name)].join(
        ',',
      ),
    );
    const [trial] = view.trials;
    const risky = { ...view, trials: [{ ...trial!, state: '=1+1', values: {}, objectives: {} }] };
    expect(viewCsv(risky)).toContain(",'=1+1,");
  });
});
