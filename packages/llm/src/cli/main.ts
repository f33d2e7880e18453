#!/usr/bin/env node
// hip-chat: the process around the command line.
import { runCommand } from './command.ts';
import { Interrupts } from './interrupts.ts';

const interrupts = new Interrupts((status) => process.exit(status));
process.on('SIGINT', () => void interrupts.hear());
process.on('SIGTERM', () => process.exit(143));
// Whoever reads the answer may stop early: `hip-chat … | head`.
process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1));

const { stdin, stdout, stderr } = process;
// npm runs scripts in the package's folder and says in INIT_CWD where it was called.
const folder = process.env['INIT_CWD'] ?? process.cwd();
const status = await runCommand(process.argv.slice(2), { folder, stdin, stdout, stderr, interrupts });
// What was written must reach a pipe before the process ends.
await new Promise<void>((resolve) => void stdout.write('', () => resolve()));
process.exit(status);
