// Writes the drawings of the guides into public/drawings.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { drawLinas } from './draw-linas.ts';
import { drawSearch } from './draw-search.ts';
import { drawStages } from './draw-stages.ts';
import { drawSupernet } from './draw-supernet.ts';

const folder = join(import.meta.dirname, '../public/drawings');
const drawings = {
  'tree-search': drawSearch(),
  stages: drawStages(),
  supernet: drawSupernet(),
  linas: drawLinas(),
};
mkdirSync(folder, { recursive: true });
for (const [name, svg] of Object.entries(drawings)) writeFileSync(join(folder, `${name}.svg`), svg);
