// Writes the drawings of the guides into public/drawings.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { drawSearch } from './draw-search.ts';

const folder = join(import.meta.dirname, '../public/drawings');
mkdirSync(folder, { recursive: true });
writeFileSync(join(folder, 'tree-search.svg'), drawSearch());
