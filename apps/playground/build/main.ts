// Builds the pages into a folder: `node build/main.ts FOLDER`, which the documentation's site does.
import { resolve } from 'node:path';
import { build } from 'vite';
import { playgroundConfig } from './config.ts';

const [folder] = process.argv.slice(2);
await build(playgroundConfig(folder && resolve(folder)));
