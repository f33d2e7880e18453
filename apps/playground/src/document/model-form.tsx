// Which model: the site's own, one from this device, or an address; where it is computed, and for how long a text.
import { useState } from 'preact/hooks';
import type { LaneName, ModelSource } from './protocol.ts';

/** What is asked for when the form is sent. */
export interface ModelChoice {
  readonly source: ModelSource;
  readonly backend: 'auto' | 'wasm' | 'webgpu';
  readonly lanes: readonly LaneName[];
  readonly tokens: number;
}

export const LENGTHS = [1024, 2048, 4096, 8192, 16_384, 32_768] as const;

const SOURCES = [
  ['bundled', 'books-lm-6m: 12 MB, trained on novels'],
  ['files', 'A model on this device: a .gguf, or a Hugging Face folder'],
  ['address', 'A model at an address or on the Hugging Face Hub'],
] as const;

const LANES = [
  ['both', 'Dense and HiP, side by side'],
  ['hip', 'HiP only: half the memory'],
  ['dense', 'Dense only'],
] as const;

interface ModelFormProps {
  readonly isBusy: boolean;
  onLoad(choice: ModelChoice): void;
  onStop(): void;
}

export function ModelForm({ isBusy, onLoad, onStop }: ModelFormProps) {
  const [kind, setKind] = useState<ModelSource['kind']>('bundled');
  const [files, setFiles] = useState<readonly File[]>([]);
  const [address, setAddress] = useState('');
  const submit = (event: SubmitEvent): void => {
    event.preventDefault();
    const data = new FormData(event.currentTarget as HTMLFormElement);
    const lanes = data.get('lanes') as 'both' | LaneName;
    onLoad({
      source: kind === 'bundled' ? { kind } : kind === 'files' ? { kind, files } : { kind, address },
      backend: data.get('backend') as ModelChoice['backend'],
      lanes: lanes === 'both' ? ['dense', 'hip'] : [lanes],
      tokens: Number(data.get('tokens')),
    });
  };
  const pick = (event: Event): void => setFiles([...((event.currentTarget as HTMLInputElement).files ?? [])]);
  return (
    <form onSubmit={submit}>
      <fieldset>
        <legend>Which one</legend>
        {SOURCES.map(([value, text]) => (
          <label key={value}>
            <input type="radio" name="source" value={value} checked={kind === value} onChange={() => setKind(value)} /> {text}
          </label>
        ))}
      </fieldset>
      {kind === 'files' && (
        <div class="fields">
          <label>
            Files (.gguf; or config.json, tokenizer.json, *.safetensors together)
            <input type="file" name="files" multiple onChange={pick} />
          </label>
          <label>
            … or the folder
            <input type="file" name="folder" ref={(input) => input?.setAttribute('webkitdirectory', '')} onChange={pick} />
          </label>
        </div>
      )}
      {kind === 'address' && (
        <label>
          Address or Hub name
          <input
            type="text"
            name="address"
            value={address}
            placeholder="HuggingFaceTB/SmolLM2-135M-Instruct"
            autocomplete="off"
            spellcheck={false}
            onInput={(event) => setAddress(event.currentTarget.value)}
          />
        </label>
      )}
      <div class="fields">
        <label>
          Computed on{' '}
          <select name="backend">
            <option value="auto">WebGPU where it serves, else WebAssembly</option>
            <option value="webgpu">WebGPU</option>
            <option value="wasm">WebAssembly</option>
          </select>
        </label>
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
      <div class="actions">
        <button class="primary" name="load" disabled={isBusy}>
          Load the model
        </button>
        <button type="button" name="stop-load" disabled={!isBusy} onClick={onStop}>
          Stop loading
        </button>
      </div>
    </form>
  );
}
