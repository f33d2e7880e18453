// Which text: the bundled book, a file that is dropped or chosen, or what is typed; and whether a pass-key hides in it.
import { useId, useState } from 'preact/hooks';
import { FailureNote } from '../shell/parts.tsx';
import { count } from '../shell/format.ts';
import { failureOf, type Failure } from '../rpc/protocol.ts';
import { readText } from './text-file.ts';

interface TextFormProps {
  readonly name: string;
  readonly text: string;
  readonly isLocked: boolean;
  readonly onText: (name: string, text: string) => void;
  /** Takes the bundled book. */
  readonly onBook: () => Promise<void>;
}

const hasFiles = (event: DragEvent): boolean => event.dataTransfer?.types.includes('Files') ?? false;

export function TextForm({ name, text, isLocked, onText, onBook }: TextFormProps) {
  const [failure, setFailure] = useState<Failure>();
  const [isOver, setOver] = useState(false);
  const id = useId();
  const attempt = (work: Promise<void>): void => {
    setFailure(undefined);
    work.catch((error: unknown) => setFailure(failureOf(error)));
  };
  const take = (file: File | undefined): void => {
    if (file) attempt(readText(file).then((read) => onText(file.name, read)));
  };
  const drop = (event: DragEvent): void => {
    event.preventDefault();
    setOver(false);
    if (!isLocked) take(event.dataTransfer?.files[0]);
  };
  const over = (event: DragEvent): void => {
    event.preventDefault();
    setOver(true);
  };
  return (
    <>
      <div class={`drop${isOver ? ' over' : ''}`} onDragOver={over} onDragLeave={() => setOver(false)} onDrop={drop}>
        <label>
          Drop a text here, or choose one{' '}
          <input
            type="file"
            name="text"
            accept=".txt,.md,text/*"
            disabled={isLocked}
            onChange={(event) => take(event.currentTarget.files?.[0])}
          />
        </label>
        <button type="button" name="book" disabled={isLocked} onClick={() => attempt(onBook())}>
          Take the first chapters of Moby-Dick
        </button>
      </div>
      <label for={id}>Or type or paste one</label>
      <textarea
        id={id}
        name="typed"
        disabled={isLocked}
        // A book in a text field makes every keystroke slow: its beginning is shown.
        value={text.length > 20_000 ? `${text.slice(0, 2000)}…` : text}
        readOnly={text.length > 20_000}
        onDragOver={(event) => hasFiles(event) && over(event)}
        onDragLeave={() => setOver(false)}
        onDrop={(event) => hasFiles(event) && drop(event)}
        onInput={(event) => onText('your text', event.currentTarget.value)}
      />
      <p class="note">{text === '' ? 'No text yet.' : `${name}: ${count(text.length)} characters.`}</p>
      <FailureNote failure={failure} />
    </>
  );
}
