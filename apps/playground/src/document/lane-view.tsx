// One reader's figures while it reads, and the keys that it reads.
import { bytes, count, known, milliseconds } from '../shell/format.ts';
import { Bar } from '../shell/parts.tsx';
import { MaskCanvas } from './mask-canvas.tsx';
import type { MaskPicture } from './mask-picture.ts';
import type { KeyAnswer, LaneName, LaneProgress } from './protocol.ts';

export const LANE_NAMES: Readonly<Record<LaneName, string>> = { dense: 'Dense', hip: 'HiP' };

interface LaneViewProps {
  readonly lane: LaneName;
  readonly progress: LaneProgress | undefined;
  readonly picture: MaskPicture | undefined;
  readonly answer: KeyAnswer | undefined;
}

export function LaneView({ lane, progress, picture, answer }: LaneViewProps) {
  const { done = 0, total = 1, ms = 0, perplexity, tokenMs, memory } = progress ?? {};
  const name = LANE_NAMES[lane];
  const firstToken = answer?.firstTokenMs ?? (done === total && tokenMs !== undefined ? ms + tokenMs : undefined);
  return (
    <div class={`panel ${lane}`} data-lane={lane}>
      <h3>{name}</h3>
      <Bar label={`${name}: tokens read`} value={done} max={total}>
        {progress ? `${count(done)} of ${count(total)} tokens` : 'waits'}
      </Bar>
      <dl class="figures">
        <dt>Time</dt>
        <dd data-figure="ms">{known(progress && ms, milliseconds)}</dd>
        <dt>Tokens/s</dt>
        <dd data-figure="rate">{known(ms > 0 ? (1000 * done) / ms : undefined, count)}</dd>
        <dt>Perplexity so far (less is better)</dt>
        <dd data-figure="perplexity">{known(perplexity, (value) => value.toFixed(3))}</dd>
        <dt>Time to the first token</dt>
        <dd data-figure="first">{known(firstToken, milliseconds)}</dd>
        <dt>One more token</dt>
        <dd data-figure="token">{known(tokenMs, milliseconds)}</dd>
        <dt>Memory: weights, cache, all</dt>
        <dd data-figure="memory">
          {memory ? [memory.weights, memory.cache, memory.total].map(bytes).join(' · ') : '–'}
        </dd>
      </dl>
      {answer && (
        <p data-figure="answer">
          {answer.isRight ? 'Found the pass-key' : 'Did not find the pass-key'}: “{answer.text.trim()}”
        </p>
      )}
      {picture && (
        <figure style="margin:0">
          <MaskCanvas
            picture={picture}
            label={`${name}: keys that one layer reads, queries downwards, keys across, ${count(Math.round(100 * picture.share))} % of all pairs so far`}
          />
          <figcaption class="note">
            From the top down the text’s tokens, from the left those that they look back at in one layer, 64 a square:
            the stronger the colour, the more heads read them.
          </figcaption>
        </figure>
      )}
      {picture && lane === 'hip' && picture.share === 1 && (
        <p class="note">
          So far every key is read in this layer: in short texts that is as fast. Load the model with “select keys in
          short texts, too” to see what HiP would select.
        </p>
      )}
    </div>
  );
}
