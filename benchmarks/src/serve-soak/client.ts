// One action of a soak, and what became of it.
import { connect } from 'node:net';
import type { Action, Case } from './cases.ts';

/** How an action ended: as it must, or how not. */
export type Outcome = 'right' | 'refused' | 'busy' | 'aborted' | 'dropped' | 'wrong' | 'untyped';

/** What a server's answer says: its texts, and why they ended. */
export type Answer = string;

interface Choice {
  readonly text?: string;
  readonly message?: { readonly content: string | null };
  readonly delta?: { readonly content?: string };
  readonly finish_reason: string | null;
}

/** Asks a case by itself. @throws where it is not answered */
export async function ask(baseURL: string, { path, body }: Case): Promise<Answer> {
  const response = await post(baseURL, path, JSON.stringify(body));
  if (response.status !== 200) throw new Error(`${response.status}: ${await response.text()}`);
  return answerOf(((await response.json()) as { choices: Choice[] }).choices);
}

/** Does an action. @param answers - of the cases, asked alone @param note - told of what is wrong */
export async function act(
  action: Action,
  {
    baseURL,
    cases,
    answers,
    note,
  }: { baseURL: string; cases: readonly Case[]; answers: readonly Answer[]; note: (what: string) => void },
): Promise<Outcome> {
  if (action.kind === 'bad') return refusal(await post(baseURL, action.path, action.text), action.status, note);
  const one = cases[action.case] as Case;
  const expected = answers[action.case] as Answer;
  if (action.kind === 'drop') return drop(baseURL, one, action.bytes, action.afterMs);
  const isStream = action.kind === 'stream' || action.kind === 'slow' || (action.kind === 'abort' && action.stream);
  const controller = new AbortController();
  const timer = action.kind === 'abort' ? setTimeout(() => controller.abort(), action.afterMs) : undefined;
  try {
    const response = await post(
      baseURL,
      one.path,
      JSON.stringify({ ...one.body, stream: isStream }),
      controller.signal,
    );
    if (response.status !== 200) return await refusal(response, 429, note);
    const given = isStream
      ? await streamed(response, action.kind === 'slow')
      : answerOf(((await response.json()) as { choices: Choice[] }).choices);
    if (given === expected) return 'right';
    note(`case ${action.case}: ${JSON.stringify(given)} in place of ${JSON.stringify(expected)}`);
    return 'wrong';
  } catch (error) {
    if (controller.signal.aborted) return 'aborted';
    note(`case ${action.case}: ${String(error)}`);
    return 'untyped';
  } finally {
    clearTimeout(timer);
  }
}

function post(baseURL: string, path: string, body: string, signal?: AbortSignal): Promise<Response> {
  const init = { method: 'POST', headers: { 'content-type': 'application/json' }, body };
  return fetch(`${baseURL}${path}`, signal ? { ...init, signal } : init);
}

/** An error must have the status that it must have, or that of a full queue, and the API's form. */
async function refusal(response: Response, status: number, note: (what: string) => void): Promise<Outcome> {
  const text = await response.text();
  let type: unknown;
  try {
    type = (JSON.parse(text) as { error?: { type?: unknown } }).error?.type;
  } catch {
    // Said below.
  }
  if (typeof type === 'string' && response.status === 429) return 'busy';
  if (typeof type === 'string' && response.status === status) return 'refused';
  note(`${response.status} in place of ${status}: ${text.slice(0, 200)}`);
  return 'untyped';
}

/** @throws where the stream does not end as it must */
async function streamed(response: Response, isSlow: boolean): Promise<Answer> {
  let text = '';
  const decoder = new TextDecoder();
  const reader = response.body!.getReader();
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    text += decoder.decode(part.value, { stream: true });
    if (isSlow) await new Promise((resolve) => void setTimeout(resolve, 15));
  }
  const events = text.split('\n\n').flatMap((event) => (event.startsWith('data: ') ? [event.slice(6)] : []));
  if (events.at(-1) !== '[DONE]') throw new Error(`a stream ended with ${events.at(-1)}`);
  const choices = events.slice(0, -1).flatMap((event) => (JSON.parse(event) as { choices: Choice[] }).choices);
  const content = choices.map(({ text: piece, delta }) => piece ?? delta?.content ?? '').join('');
  return answerOf([
    {
      text: content,
      finish_reason: choices.findLast((choice) => choice.finish_reason !== null)?.finish_reason ?? null,
    },
  ]);
}

function answerOf(choices: readonly Choice[]): Answer {
  return choices
    .map(({ text, message, finish_reason }) => `${text ?? message?.content ?? ''} [${finish_reason}]`)
    .join('\n');
}

/** Sends a part of a request, or all of it, and cuts the connection. */
function drop(baseURL: string, { path, body }: Case, bytes: number, afterMs: number): Promise<Outcome> {
  const { hostname, port, pathname } = new URL(baseURL);
  const text = JSON.stringify({ ...body, stream: true });
  const head = `POST ${pathname}${path} HTTP/1.1\r\nHost: ${hostname}\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(text)}\r\n\r\n`;
  return new Promise((resolve) => {
    const socket = connect(Number(port), hostname, () => {
      socket.write((head + text).slice(0, bytes > 300 ? undefined : bytes));
      setTimeout(() => {
        socket.resetAndDestroy();
        resolve('dropped');
      }, afterMs);
    });
    socket.on('error', () => resolve('dropped'));
  });
}
