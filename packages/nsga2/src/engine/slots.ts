// The generation under way: candidates that are asked one after the other and told in any order.
import type { ParetoArchive } from '../archive.ts';
import { Nsga2Error } from '../errors.ts';
import type { EvaluationResult, Genes } from '../problem.ts';

/** A candidate to evaluate. */
export interface Candidate {
  /** Number of the candidate in its run, 0 for the first; tell it back with this. */
  readonly id: number;
  readonly genes: Genes;
}

/** The outcome of one candidate: its id and its values, or `failed: true`. */
export type Told = { readonly id: number } & Exclude<EvaluationResult, readonly number[] | Float64Array>;

/** A candidate of the generation under way. */
export interface Slot {
  readonly id: number;
  readonly genes: Genes;
  asked: boolean;
  told: { readonly objectives: ArrayLike<number>; readonly violation: number } | undefined;
}

export class Slots {
  readonly all: readonly Slot[];
  readonly #byId: ReadonlyMap<number, Slot>;
  #nextAsk = 0;
  #untold: number;

  constructor(all: readonly Slot[]) {
    this.all = all;
    this.#byId = new Map(all.map((slot) => [slot.id, slot]));
    this.#untold = all.filter((slot) => !slot.told).length;
  }

  /** Asked and not yet told. */
  get pending(): number {
    return this.all.filter((slot) => slot.asked && !slot.told).length;
  }

  get told(): readonly Slot[] {
    return this.all.filter((slot) => slot.told !== undefined);
  }

  /** Whether every one was told. */
  get isComplete(): boolean {
    return this.#untold === 0;
  }

  /** The next ones that were not asked, `count` at most. */
  ask(count: number): Candidate[] {
    const asked: Candidate[] = [];
    while (asked.length < count && this.#nextAsk < this.all.length) {
      const slot = this.all[this.#nextAsk++]!;
      if (slot.asked) continue;
      slot.asked = true;
      asked.push({ id: slot.id, genes: slot.genes });
    }
    return asked;
  }

  find(id: number): Slot | undefined {
    return this.#byId.get(id);
  }

  take(slot: Slot, objectives: ArrayLike<number>, violation: number): void {
    slot.told = { objectives: Array.from(objectives), violation };
    this.#untold--;
  }
}

/**
 * The slot of a candidate that is out for evaluation.
 *
 * @param seen ids that were told along with it; this one is added
 * @throws Nsga2Error `unknown-candidate`
 */
export function slotOf(slots: Slots | undefined, id: number, seen: Set<number>): Slot {
  const slot = slots?.find(id);
  if (!slot || !slot.asked || slot.told || seen.has(id)) {
    throw new Nsga2Error('unknown-candidate', `candidate ${id} is not out for evaluation: tell each asked id once`, {
      id,
    });
  }
  seen.add(id);
  return slot;
}

/** Offers a told candidate to an archive; only feasible ones are taken. */
export function keep(archive: ParetoArchive, { id, genes, told }: Slot): void {
  if (told!.violation <= 0) archive.add({ id, genes, objectives: Array.from(told!.objectives) });
}
