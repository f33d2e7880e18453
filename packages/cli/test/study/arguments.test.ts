import type { ArgsDef } from 'citty';
import { describe, expect, it } from 'vitest';
import { rejectUnknown } from '../../src/study/shared.ts';

const definition = {
  format: { type: 'positional', description: 'csv or json', required: false },
  study: { type: 'string', valueHint: 'FILE' },
  seed: { type: 'string' },
  'report-split': { type: 'string' },
  quiet: { type: 'boolean' },
} satisfies ArgsDef;
const known = 'use csv or json, --study, --seed, --report-split, --quiet';

describe('rejectUnknown', () => {
  it.each([
    [[]],
    [['csv', '--study', 'a.db', '--quiet']],
    [['--study=a.db', '--no-quiet', 'csv']],
    [['--study', 'csv', 'json']],
    [['--quiet=false', '--seed', '-1']],
    [['--study=-a.db', '--report-split', '-']],
    [['--study=']],
  ])('takes %j', (args) => {
    expect(() => rejectUnknown(args, definition)).not.toThrow();
  });

  it.each([
    [['--sed', '3'], `no option --sed: ${known}`],
    [['--sed=3'], `no option --sed: ${known}`],
    [['-seed', '3'], `no option -seed: ${known}`],
    [['-s', '3'], `no option -s: ${known}`],
    [['-s3'], `no option -s3: ${known}`],
    [['--'], `no option --: ${known}`],
    [['-'], `no option -: ${known}`],
    [['--version'], `no option --version: ${known}`],
    [['--reportSplit', 'test'], `no option --reportSplit: ${known}`],
    [['csv', 'extra'], `no argument "extra": ${known}`],
    [['csv', '--quiet', 'yes'], `no argument "yes": ${known}`],
    [['--format', 'json'], `no option --format: ${known}`],
    [['--no-study'], `no option --no-study: ${known}`],
    [['--no-quiet=false'], `no option --no-quiet: ${known}`],
    [['--study'], '--study has no value: write --study FILE'],
    [['--seed', '--quiet'], '--seed has no value: write --seed VALUE'],
    [['--seed', '-n'], '--seed has no value'],
  ])('refuses %j', (args, sentence) => {
    let error: unknown;
    try {
      rejectUnknown(args, definition);
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toMatchObject({ code: 'invalid-option' });
    expect((error as Error).message.replace(/ \(did you mean .*?\?\)/, '')).toContain(sentence);
  });
});
