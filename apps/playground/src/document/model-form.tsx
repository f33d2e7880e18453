// Which model: the site's own, one from this device, or an address; where it is computed, and for how long a text.
import { useState } from 'preact/hooks';
import { BackendField, LoadActions } from '../models/load-fields.tsx';
import { SourceFields } from '../models/source-fields.tsx';
import type { ModelSource } from '../models/source.ts';
import type { LaneName } from './protocol.ts';

/** What is asked for when the form is sent. */
export interface ModelChoice {
  readonly source: ModelSource;
  readonly backend: 'auto' | 'wasm' | 'webgpu';
  readonly lanes: readonly LaneName[];
  readonly tokens: number;
  readonly selectsAlways: boolean;
}

export const LENGTHS = [1024, 2048, 4096, 8192, 16_384, 32_768] as const;

const LANES = [
  ['both', 'Dense and HiP, side by side'],
  ['hip', 'HiP only: half the memory'],
  ['dense', 'Dense only'],
] as const;

interface ModelFormProps {
  /** With this or something else. */
  readonly isBusy: boolean;
  readonly isLoading: boolean;
  readonly onLoad: (choice: ModelChoice) => void;
  readonly onStop: () => void;
}

export function ModelForm({ isBusy, isLoading, onLoad, onStop }: ModelFormProps) {
  const [source, setSource] = useState<ModelSource>({ kind: 'bundled' });
  const submit = (event: SubmitEvent): void => {
    event.preventDefault();
    const data = new FormData(event.currentTarget as HTMLFormElement);
    const lanes = data.get('lanes') as 'both' | LaneName;
    onLoad({
      source,
      backend: data.get('backend') as ModelChoice['backend'],
      lanes: lanes === 'both' ? ['dense', 'hip'] : [lanes],
      tokens: Number(data.get('tokens')),
      selectsAlways: data.has('always'),
    });
  };
  return (
    <form onSubmit={submit}>
      <SourceFields value={source} onChange={setSource} />
      <div class="fields">
        <BackendField />
        <label>
          Attention{' '}
          <select name="lanes">
            {LANES.map(([value, text]) => (
              <option key={value} value={value}>
                {text}
              </option>
            ))}
          </select>
        </label>
        <label>
          Room for{' '}
          <select name="tokens" defaultValue="4096">
            {LENGTHS.map((tokens) => (
              <option key={tokens} value={tokens} selected={tokens === 4096}>
                {tokens.toLocaleString('en')} tokens
              </option>
            ))}
          </select>
        </label>
      </div>
      <label class="inline">
        <input type="checkbox" name="always" /> select keys in short texts, too, where reading all of them is as fast
      </label>
      <LoadActions isBusy={isBusy} isLoading={isLoading} onStop={onStop} />
    </form>
  );
}
