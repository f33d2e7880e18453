// What a run has found in the middle of a generation.
import { ParetoArchive } from '../archive.ts';
import type { Random } from '../random.ts';
import type { Survival } from '../survival/survival.ts';
import { frontOf } from './front.ts';
import type { Individual, Population } from './population.ts';
import { keep, type Slot } from './slots.ts';

/** What a run has found at some moment. */
export interface Snapshot {
  readonly population: Individual[];
  readonly front: Individual[];
  readonly archive: ParetoArchive | undefined;
}

interface Moment {
  readonly parents: Population;
  readonly survival: Survival;
  readonly random: Random;
  readonly archive: ParetoArchive | undefined;
  readonly populationSize: number;
  /** A population of the problem without anyone in it. */
  readonly empty: (capacity: number) => Population;
}

/** As if the generation ended with these told candidates. Changes nothing. */
export function snapshotOf(
  told: readonly Slot[],
  { parents, survival, random, archive, populationSize, empty }: Moment,
): Snapshot {
  const pool = empty(parents.size + told.length);
  pool.addAll(parents);
  for (const slot of told) pool.add(slot.id, slot.genes, slot.told!.objectives, slot.told!.violation);
  const chosen = survival.clone().select(pool, populationSize, random.clone());
  const survivors = empty(chosen.length);
  survivors.addRows(pool, chosen);
  const grown = archive && ParetoArchive.fromJSON(archive.toJSON());
  if (grown) for (const slot of told) keep(grown, slot);
  return { population: survivors.individuals(), front: frontOf(survivors), archive: grown };
}
