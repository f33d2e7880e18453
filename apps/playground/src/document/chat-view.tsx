// A conversation with a model that has a chat template: both lanes answer, piece by piece.
import { useRef, useState } from 'preact/hooks';
import type { WorkerClient } from '../rpc/client.ts';
import { count, milliseconds } from '../shell/format.ts';
import { Bar, TaskNote } from '../shell/parts.tsx';
import type { Task } from '../shell/task.ts';
import { LANE_NAMES } from './lane-view.tsx';
import type { ChatAnswer, DocumentOperations, LaneName } from './protocol.ts';

const MAX_TOKENS = 256;

interface Turn {
  readonly question: string;
  readonly answers: Readonly<Partial<Record<LaneName, string>>>;
  readonly usage: readonly ChatAnswer[];
}

interface ChatViewProps {
  readonly client: WorkerClient<DocumentOperations>;
  /** The answering, which keeps the worker busy. */
  readonly task: Task;
  readonly lanes: readonly LaneName[];
  readonly document: string;
  /** The worker is busy, with this or something else. */
  readonly isLocked: boolean;
}

export function ChatView({ client, task, lanes, document, isLocked }: ChatViewProps) {
  const [turns, setTurns] = useState<readonly Turn[]>([]);
  const [reading, setReading] = useState<{ lane: LaneName; done: number; total: number }>();
  const box = useRef<HTMLTextAreaElement>(null);
  const update = (change: (turn: Turn) => Turn): void => setTurns((all) => [...all.slice(0, -1), change(all.at(-1)!)]);

  /** Enter sends; with Shift, and where it ends a composed character, it is the box's own. */
  const sendByEnter = (event: KeyboardEvent): void => {
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    if (!isLocked) box.current?.form?.requestSubmit();
  };

  const send = (event: SubmitEvent): void => {
    event.preventDefault();
    const data = new FormData(event.currentTarget as HTMLFormElement);
    const question = (data.get('question') as string).trim();
    if (question === '') return;
    const isAbout = data.has('about') && turns.length === 0;
    setTurns((all) => [...all, { question, answers: {}, usage: [] }]);
    if (box.current) box.current.value = '';
    void task.run(async (signal) => {
      const usage = await client.call(
        'chat',
        {
          text: question,
          isNew: turns.length === 0,
          document: isAbout ? document : undefined,
          temperature: Number(data.get('temperature')),
          maxTokens: MAX_TOKENS,
        },
        {
          signal,
          onEvent: (told) => {
            if (told.type === 'reading') return setReading(told);
            setReading(undefined);
            update((turn) => ({
              ...turn,
              answers: { ...turn.answers, [told.lane]: (turn.answers[told.lane] ?? '') + told.text },
            }));
          },
        },
      );
      update((turn) => ({ ...turn, usage }));
    });
  };

  return (
    <section aria-labelledby="chat">
      <h2 id="chat">3. Talk with it</h2>
      <ol class="turns" style="list-style:none;padding:0">
        {turns.map((turn, i) => (
          <li key={i}>
            <p>
              <strong>You:</strong> {turn.question}
            </p>
            <div class="beside">
              {lanes.map((lane) => (
                <div class={`panel ${lane}`} key={lane} data-answer={lane}>
                  <h3>{LANE_NAMES[lane]}</h3>
                  <blockquote>{turn.answers[lane] ?? ''}</blockquote>
                  {turn.usage
                    .filter((usage) => usage.lane === lane)
                    .map((usage) => (
                      <p class="note" key={usage.lane}>
                        {count(usage.promptTokens)} tokens before it, first after {milliseconds(usage.firstTokenMs)},{' '}
                        {count(usage.tokensPerSecond)} tokens/s
                      </p>
                    ))}
                </div>
              ))}
            </div>
          </li>
        ))}
      </ol>
      <form onSubmit={send}>
        <label>
          Your question (Enter sends it, Shift and Enter begin a line)
          <textarea name="question" ref={box} rows={2} onKeyDown={sendByEnter} />
        </label>
        <div class="fields">
          <label class="inline">
            <input type="checkbox" name="about" disabled={document === '' || turns.length > 0} /> about the text above,
            as far as there is room for it
          </label>
          <label class="inline">
            Temperature{' '}
            <select name="temperature">
              <option value="0">0: the likeliest word</option>
              <option value="0.7">0.7</option>
              <option value="1">1</option>
            </select>
          </label>
        </div>
        <div class="actions">
          <button class="primary" name="send" disabled={isLocked}>
            Send
          </button>
          <button type="button" name="stop-chat" disabled={!task.isRunning} onClick={task.stop}>
            Stop
          </button>
          <button
            type="button"
            name="new-chat"
            disabled={task.isRunning || turns.length === 0}
            onClick={() => setTurns([])}
          >
            New conversation
          </button>
        </div>
      </form>
      {reading && task.isRunning && (
        <Bar label="Reading" value={reading.done} max={reading.total}>
          {LANE_NAMES[reading.lane]} reads {count(Math.floor(reading.done))} of {count(reading.total)} tokens
        </Bar>
      )}
      {turns.length > 0 && (
        <TaskNote task={task}>{task.isRunning ? 'Answers …' : turns.at(-1)?.usage.length ? 'Answered.' : ''}</TaskNote>
      )}
    </section>
  );
}
