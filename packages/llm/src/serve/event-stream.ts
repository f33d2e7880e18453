// Server-sent events (HTML standard, section 9.2) as OpenAI's clients read them: JSON in `data`, and `[DONE]` at the end.
import { errorBody, toApiError, type ApiError } from './api-error.ts';

/** Where events come from. */
export interface EventSource {
  readonly events: AsyncGenerator<unknown, void, void>;
  /** Called when nobody reads any more. */
  readonly abort: (reason: unknown) => void;
  /** Told of an error that ended the stream. */
  readonly onError: (error: ApiError) => void;
}

/**
 * A response of events. They are taken at once, however slowly they are read: an answer is bounded, and a slow reader must not keep its
 * place in the cache.
 */
export function eventResponse({ events, abort, onError }: EventSource): Response {
  const encoder = new TextEncoder();
  let isRead = true;
  const body = new ReadableStream<Uint8Array>({
    start: (controller) => {
      const send = (data: string): void => {
        if (isRead) controller.enqueue(encoder.encode(`data: ${data}\n\n`));
      };
      const pump = async (): Promise<void> => {
        try {
          for await (const event of events) send(JSON.stringify(event));
          send('[DONE]');
        } catch (thrown) {
          const error = toApiError(thrown);
          if (isRead) onError(error);
          send(JSON.stringify(errorBody(error)));
        }
        if (isRead) controller.close();
      };
      void pump();
    },
    cancel: (reason) => {
      isRead = false;
      abort(reason);
    },
  });
  return new Response(body, {
    headers: {
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-cache',
      'x-accel-buffering': 'no',
    },
  });
}
