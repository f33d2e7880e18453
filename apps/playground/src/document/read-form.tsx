// How the text is read: with a pass-key in it or not, and which layer's mask is drawn.
import type { ModelInfo } from './protocol.ts';

/** What is asked for when the form is sent. */
export interface ReadChoice {
  /** Where a pass-key is hidden, as a share of the text; undefined: nowhere. */
  readonly depth: number | undefined;
  /** Layer whose mask is drawn, from 0. */
  readonly layer: number;
}

interface ReadFormProps {
  readonly model: ModelInfo | undefined;
  readonly isBusy: boolean;
  readonly isReading: boolean;
  readonly onRead: (choice: ReadChoice) => void;
  readonly onStop: () => void;
}

/** In the middle, behind those that read all keys of any text up to 32K tokens. */
const shownLayer = (layers: number): number => Math.min(layers, Math.max(3, Math.ceil(layers / 2)));

export function ReadForm({ model, isBusy, isReading, onRead, onStop }: ReadFormProps) {
  const submit = (event: SubmitEvent): void => {
    event.preventDefault();
    if (!model) return;
    const data = new FormData(event.currentTarget as HTMLFormElement);
    onRead({
      depth: data.has('hide') ? Number(data.get('depth')) / 100 : undefined,
      layer: Math.min(model.layers - 1, Math.max(0, Number(data.get('layer')) - 1)),
    });
  };
  return (
    <form onSubmit={submit}>
      <div class="fields">
        <label class="inline">
          <input type="checkbox" name="hide" defaultChecked /> hide a pass-key (a number made up here) in it, and ask
          for it at the end
        </label>
        <label class="inline">
          at <input type="number" name="depth" min={0} max={95} step={1} defaultValue={30} style="width:5em" /> % of the
          text
        </label>
        <label class="inline">
          draw the mask, which is what is read of the text, of layer{' '}
          <input
            type="number"
            name="layer"
            min={1}
            max={model?.layers ?? 1}
            key={model?.layers}
            defaultValue={model ? shownLayer(model.layers) : 1}
            style="width:5em"
          />
        </label>
      </div>
      <div class="actions">
        <button class="primary" name="read" disabled={!model || isBusy} aria-describedby="read-needs">
          Read it
        </button>
        <button type="button" name="stop-read" disabled={!isReading} onClick={onStop}>
          Stop
        </button>
      </div>
      <p class="note" id="read-needs" hidden={model !== undefined}>
        First load a model, above.
      </p>
    </form>
  );
}
