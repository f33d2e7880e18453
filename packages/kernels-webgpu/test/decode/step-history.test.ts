// A clock that is set back to a turn's beginning runs what it would have run, or everything: never what a later search has replaced.
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { resolveConfig } from '@hip/mask-search';
import { StepClock } from '../../src/decode/step-clock.ts';
import { StepHistory } from '../../src/decode/step-history.ts';

const config = resolveConfig({
  k: 16,
  blockK: 8,
  window: 16,
  sink: 8,
  stages: [
    { chunk: 16, keep: 64, strideQ: 8, rows: 'mean', score: 'bound', refresh: 6 },
    { chunk: 8, keep: 32, strideQ: 4, rows: 'max', score: 'exact', refresh: 3 },
    { chunk: 8, keep: 16, strideQ: 4, rows: 'max', score: 'exact', refresh: 2 },
  ],
});
const STAGES = 3;

type Action = 'step' | 'exact' | 'chunk' | 'failed' | { readonly back: number };
const actions: fc.Arbitrary<readonly Action[]> = fc.array(
  fc.oneof(
    { weight: 6, arbitrary: fc.constant<Action>('step') },
    { weight: 1, arbitrary: fc.constantFrom<Action>('exact', 'chunk', 'failed') },
    { weight: 2, arbitrary: fc.record({ back: fc.integer({ min: 1, max: 10 }) }) },
  ),
  { maxLength: 60 },
);

/** A layer as its GPU buffers see it: what each stage's output was computed with. */
class Layer {
  readonly clock = new StepClock(config);
  readonly history = new StepHistory();
  readonly outputs = Array.from({ length: STAGES }, () => 'nothing');
  tokens: string[] = [];

  begin(action: 'step' | 'exact' | 'chunk', token: string): string {
    const before = this.clock.state;
    const { length } = this.tokens;
    if (action !== 'step') {
      this.history.note(length, undefined, before);
      if (action === 'chunk') this.clock.reset();
      return action;
    }
    const stage = this.clock.tick(length + 1);
    this.history.note(length, stage, before);
    for (let i = stage ?? STAGES; i < STAGES; i++) this.outputs[i] = [...this.tokens, token].join();
    return this.outputs.join(';');
  }

  truncate(length: number): boolean {
    this.tokens = this.tokens.slice(0, length);
    const clock = this.history.truncate(length);
    if (clock) this.clock.set(clock);
    else this.clock.reset();
    return clock !== undefined;
  }
}

it('goes on as a layer that never made the turns that were taken back', () => {
  let restored = 0;
  fc.assert(
    fc.property(actions, (list) => {
      const layer = new Layer();
      // What the turns that count were, and whether the clock was reset before each.
      let deeds: { readonly kind: 'step' | 'exact' | 'chunk'; readonly token: string; readonly resets: boolean }[] = [];
      let resets = false;
      for (const [i, action] of list.entries()) {
        if (typeof action === 'object') {
          const length = Math.max(0, layer.tokens.length - action.back);
          if (length === layer.tokens.length) continue;
          const isRestored = layer.truncate(length);
          if (isRestored) restored++;
          // Before the turn that is taken back the clock may have been reset by an earlier cut.
          resets = isRestored ? deeds[length]!.resets : true;
          deeds = deeds.slice(0, length);
          continue;
        }
        const token = `t${i}`;
        if (action === 'failed') {
          // Rolled back: the clock is set back, what the search wrote stays written.
          const clock = layer.clock.state;
          layer.begin('step', `${token}!`);
          layer.clock.set(clock);
          continue;
        }
        const seen = layer.begin(action, token);
        layer.tokens.push(token);
        deeds.push({ kind: action, token, resets });
        resets = false;
        const never = new Layer();
        let expected = '';
        for (const deed of deeds) {
          if (deed.resets) never.clock.reset();
          expected = never.begin(deed.kind, deed.token);
          never.tokens.push(deed.token);
        }
        expect(seen).toBe(expected);
      }
    }),
  );
  expect(restored).toBeGreaterThan(0);
});
