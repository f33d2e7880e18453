#!/usr/bin/env node
// `instatune`: tune, and the searches under it: search, resume, front, view, export, worker.
import { defineCommand, runMain } from 'citty';
import manifest from '../package.json' with { type: 'json' };
import { SearchError } from '@instatune/search';
import { reportError } from './study/report-error.ts';
import { outliveReaders } from './study/streams.ts';

const load = async <T>(command: Promise<T>): Promise<T> => command;

const main = defineCommand({
  meta: {
    name: 'instatune',
    version: manifest.version,
    description:
      'A smaller model within a budget in one command; Pareto searches, studies on disk, threads and queues of workers',
  },
  subCommands: {
    tune: () => load(import('./tune/command.ts')).then((m) => m.tuneCommand),
    search: () => load(import('./study/search.ts')).then((m) => m.search),
    resume: () => load(import('./study/resume.ts')).then((m) => m.resumeCommand),
    front: () => load(import('./study/front.ts')).then((m) => m.front),
    view: () => load(import('./view/command.ts')).then((m) => m.viewCommand),
    export: () => load(import('./study/export.ts')).then((m) => m.exportCommand),
    worker: () => load(import('./study/worker.ts')).then((m) => m.worker),
  },
});

outliveReaders();

const given = process.argv.slice(2);
const [first] = given;
const asked =
  given.some((arg) => arg === '--help' || arg === '-h') || (given.length === 1 && /^(--version|-v)$/.test(first!));
// citty would skip an option before the command in silence.
if (first?.startsWith('-') && !asked) {
  const commands = Object.keys(main.subCommands!).join(', ');
  reportError(
    new SearchError('invalid-option', `${first} before the command: use ${commands}, or --help or --version alone`, {
      argument: first,
    }),
  );
} else await runMain(main);
