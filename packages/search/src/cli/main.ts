#!/usr/bin/env node
// `instatune`: search, resume, front, export, worker.
import { defineCommand, runMain } from 'citty';

const load = async <T>(command: Promise<T>): Promise<T> => command;

const main = defineCommand({
  meta: {
    name: 'instatune',
    description: 'Pareto search over sub-networks: LINAS, studies on disk, threads and queues of workers',
  },
  subCommands: {
    search: () => load(import('./search.ts')).then((m) => m.search),
    resume: () => load(import('./resume.ts')).then((m) => m.resumeCommand),
    front: () => load(import('./front.ts')).then((m) => m.front),
    export: () => load(import('./export.ts')).then((m) => m.exportCommand),
    worker: () => load(import('./worker.ts')).then((m) => m.worker),
  },
});

await runMain(main);
