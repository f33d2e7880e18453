// Round 0 of every tactic: the baseline, the best of a warm start, then random candidates.
import { warmCandidates } from '../warm-start.ts';
import { randomCandidates, seenKeys } from './sampling.ts';
import type { Proposal, ProposeContext, Tactic } from './tactic.ts';

export function initialRound(context: ProposeContext, tactic: Tactic): Proposal {
  const { space, limit, warm } = context;
  const seen = seenKeys(context);
  const candidates = [];
  if (space.baseline) {
    seen.add(space.key(space.baseline));
    candidates.push({ genes: space.baseline, origin: 'baseline' });
  }
  if (warm)
    candidates.push(
      ...warmCandidates(context, warm, Math.min(limit - candidates.length, Math.round(warm.share * limit)), seen),
    );
  candidates.push(...randomCandidates(context, limit - candidates.length, 'random', seen));
  const offered = candidates.filter(({ origin }) => origin === 'warm').length;
  const nothing =
    warm && warm.share > 0 && offered === 0
      ? {
          note: 'no candidate of the warm start is new here and inside the exact constraints: only its values are used',
        }
      : {};
  return { candidates, info: { tactic: tactic.name, warm: offered, ...nothing } };
}
