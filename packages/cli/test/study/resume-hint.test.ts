import { execFileSync } from 'node:child_process';
import type { ArgsDef } from 'citty';
import { describe, expect, it } from 'vitest';
import { resumeHint } from '../../src/study/resume-hint.ts';
import { evaluatorArgs, problemArgs, studyArgs } from '../../src/study/shared.ts';

const kept: ArgsDef = { ...studyArgs, ...problemArgs, ...evaluatorArgs };
const defaults = { study: 'instatune.db', threads: '0', quiet: false };

/** What a shell makes of a command line. */
const words = (command: string) =>
  execFileSync('sh', ['-c', `printf '%s\\0' ${command}`], { encoding: 'utf8' })
    .split('\0')
    .slice(0, -1);

describe('resumeHint', () => {
  it('names the study, and nothing that is the default', () => {
    expect(resumeHint(defaults, kept)).toBe('instatune resume --study instatune.db');
  });

  it('keeps where candidates are measured and what comes out', () => {
    const given = { ...defaults, study: 'c.db', threads: '4', redis: 'redis://queue.local:6379', html: 'front.html' };
    expect(resumeHint({ ...given, timeout: '60', retries: '3', quiet: true }, kept)).toBe(
      'instatune resume --study c.db --threads 4 --redis redis://queue.local:6379 --retries 3 --timeout 60 --html front.html --quiet',
    );
  });

  it.each(['my study.db', "it's.db", '$HOME/`id`.db', '~/a;b|c&d>"e".db', 'a\nb.db', '*.db', 'größe.db', ''])(
    'a shell reads %j back as it was',
    (study) => {
      const options = '{"layers":[1, 2]}';
      expect(words(resumeHint({ ...defaults, study, options }, kept))).toEqual([
        'instatune',
        'resume',
        '--study',
        study,
        '--options',
        options,
      ]);
    },
  );

  it('a value that starts with a dash stays with its option', () => {
    expect(words(resumeHint({ ...defaults, name: '-1 x' }, kept)).at(-1)).toBe('--name=-1 x');
  });
});
