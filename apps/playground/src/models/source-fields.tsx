// Which model: the site's own, one from this device, or an address.
import type { ModelSource } from './source.ts';

const SOURCES = [
  ['bundled', 'books-lm-6m: 12 MB, trained on novels'],
  ['files', 'A model on this device: a .gguf, or a Hugging Face folder'],
  ['address', 'A model at an address or on the Hugging Face Hub'],
] as const;

interface SourceFieldsProps {
  readonly value: ModelSource;
  readonly onChange: (source: ModelSource) => void;
}

export function SourceFields({ value: source, onChange }: SourceFieldsProps) {
  const { kind } = source;
  const address = kind === 'address' ? source.address : '';
  const take = (next: ModelSource['kind']): void =>
    onChange(
      next === 'bundled' ? { kind: next } : next === 'files' ? { kind: next, files: [] } : { kind: next, address: '' },
    );
  const pick = (event: Event): void =>
    onChange({ kind: 'files', files: [...((event.currentTarget as HTMLInputElement).files ?? [])] });
  return (
    <>
      <fieldset>
        <legend>Which one</legend>
        {SOURCES.map(([value, text]) => (
          <label key={value}>
            <input type="radio" name="source" value={value} checked={kind === value} onChange={() => take(value)} />{' '}
            {text}
          </label>
        ))}
      </fieldset>
      {kind === 'files' && (
        <div class="fields">
          <label>
            Files (.gguf; or config.json, tokenizer.json, *.safetensors together){' '}
            <input type="file" name="files" multiple onChange={pick} />
          </label>
          <label>
            … or the folder{' '}
            <input
              type="file"
              name="folder"
              ref={(input) => input?.setAttribute('webkitdirectory', '')}
              onChange={pick}
            />
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
            onInput={(event) => onChange({ kind: 'address', address: event.currentTarget.value })}
          />
        </label>
      )}{' '}
    </>
  );
}
