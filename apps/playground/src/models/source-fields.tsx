// Which model: the site's own, one from this device, or an address.
import type { ModelSource } from './source.ts';

const SOURCES = [
  ['bundled', 'books-lm-6m, of this site: 12 MB, continues English novels'],
  ['files', 'A model on this device: a .gguf, or a Hugging Face folder'],
  ['address', 'A model at an address or on the Hugging Face Hub'],
] as const;

/** A small one that answers questions. */
const EXAMPLE = 'HuggingFaceTB/SmolLM2-135M-Instruct';

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
          <label key={value} class="choice">
            <input type="radio" name="source" value={value} checked={kind === value} onChange={() => take(value)} />
            <span>{text}</span>
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
        <>
          <label>
            Address or Hub name
            <input
              type="text"
              name="address"
              value={address}
              placeholder={EXAMPLE}
              autocomplete="off"
              spellcheck={false}
              onInput={(event) => onChange({ kind: 'address', address: event.currentTarget.value })}
            />
          </label>
          <button type="button" name="example" onClick={() => onChange({ kind: 'address', address: EXAMPLE })}>
            Take {EXAMPLE} (270 MB, kept by this browser)
          </button>
        </>
      )}
    </>
  );
}
