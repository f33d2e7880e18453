// What is measured of the engine on a GPU, section by section.
import { check, perplexity } from './goldens.ts';
import { long, qwen, turns } from './lengths.ts';
import { load, models } from './loading.ts';
import type { Surroundings } from './measure.ts';
import { eight, host, together } from './several.ts';

export const SECTIONS: Readonly<Record<string, (at: Surroundings) => Promise<void>>> = {
  models,
  check,
  qwen,
  load,
  together,
  long,
  host,
  eight,
  turns,
  perplexity,
};
