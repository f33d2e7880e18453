// The endpoints: which request goes where, and what comes back when something fails.
import { Hono } from 'hono';
import { checkKey, checkSource, corsHeaders, preflight, type AccessOptions } from './access.ts';
import { ApiError, errorResponse, toApiError } from './api-error.ts';
import { readJson } from './body.ts';
import { prepareChat, type Prepared } from './chat-completions.ts';
import { prepareCompletion } from './completions.ts';
import { embeddings, type ServedEmbedder } from './embeddings.ts';
import { eventResponse } from './event-stream.ts';
import type { Service } from './service.ts';

/** What is served, and to whom. */
export interface AppOptions extends AccessOptions {
  /** Names of the language model; the first is the one that answers tell. */
  readonly names: readonly string[];
  readonly embedder?: { readonly name: string; readonly embedder: ServedEmbedder } | undefined;
  /** Bytes of a request's body. */
  readonly bodyLimit: number;
  /** Told of every error that is answered. */
  readonly onError?:
    | ((error: ApiError, request: { readonly method: string; readonly path: string }) => void)
    | undefined;
}

export function createApp(service: Service, options: AppOptions): Hono {
  const app = new Hono();
  const { names, embedder, bodyLimit } = options;
  const [name] = names as [string];
  const created = Math.floor(Date.now() / 1000);
  const told = (error: ApiError, { method, url }: Request): ApiError => {
    options.onError?.(error, { method, path: new URL(url).pathname });
    return error;
  };
  app.onError((thrown, { req }) => errorResponse(told(toApiError(thrown), req.raw), corsHeaders(req.raw)));
  app.notFound(({ req }) => {
    const error = new ApiError(404, `there is no ${req.method} ${req.path}`, { code: 'not_found' });
    return errorResponse(told(error, req.raw), corsHeaders(req.raw));
  });
  // Clients show it with an error, and ask for it in reports.
  app.use(async (context, next) => {
    await next();
    context.res.headers.set('x-request-id', `req_${crypto.randomUUID().replaceAll('-', '')}`);
  });
  app.use(async ({ req }, next) => {
    checkSource(req.raw, options);
    if (req.method === 'OPTIONS') return preflight(req.raw);
    if (req.path !== '/health') checkKey(req.raw, options);
    return next();
  });
  app.use(async (context, next) => {
    await next();
    for (const [key, value] of Object.entries(corsHeaders(context.req.raw))) context.res.headers.set(key, value);
  });

  app.get('/health', ({ json }) => json({ status: 'ok', model: name, ...service.load }));

  const models = [
    { id: name, object: 'model', created, owned_by: 'hip', context_length: service.contextTokens },
    ...(embedder
      ? [{ id: embedder.name, object: 'model', created, owned_by: 'hip', context_length: embedder.embedder.maxTokens }]
      : []),
  ];
  app.get('/v1/models', ({ json }) => json({ object: 'list', data: models }));
  app.get('/v1/models/:id{.+}', ({ req, json }) => {
    const id = req.param('id');
    const found = models.find((model) => model.id === (names.includes(id) ? name : id));
    if (!found)
      throw unknownModel(
        id,
        models.map((model) => model.id),
      );
    return json(found);
  });

  const generation =
    (prepare: (service: Service, model: string, body: unknown) => Prepared) => async (request: Request) => {
      const body = await readJson(request, bodyLimit);
      checkModel(body, names);
      const prepared = prepare(service, name, body);
      const run = await service.start(prepared.jobs, prepared.param, request.signal);
      if (!prepared.isStream) return Response.json(await prepared.collect(run));
      return eventResponse({
        events: prepared.stream(run),
        abort: run.abort,
        onError: (error) => void told(error, request),
      });
    };
  const [chat, completion] = [generation(prepareChat), generation(prepareCompletion)];
  app.post('/v1/chat/completions', ({ req }) => chat(req.raw));
  app.post('/v1/completions', ({ req }) => completion(req.raw));
  app.post('/v1/embeddings', async ({ req }) => {
    const body = await readJson(req.raw, bodyLimit);
    if (!embedder) {
      const message = 'this server has no encoder: start it with --embedder FOLDER_OR_HUB_NAME';
      throw new ApiError(501, message, { code: 'no_embedder', isFinal: true });
    }
    checkModel(body, [embedder.name]);
    const place = await service.enter(0, req.raw.signal);
    try {
      return Response.json(await embeddings(embedder.embedder, embedder.name, body, req.raw.signal));
    } finally {
      place.leave();
    }
  });
  for (const path of ['/health', '/v1/models', '/v1/chat/completions', '/v1/completions', '/v1/embeddings']) {
    app.all(path, ({ req }) => {
      throw new ApiError(405, `${path} does not take ${req.method}`, { code: 'method_not_allowed' });
    });
  }
  return app;
}

/** A request that names no model gets the one that there is. @throws ApiError 404 */
function checkModel(body: unknown, names: readonly string[]): void {
  const { model } = Object(body) as { readonly model?: unknown };
  if (typeof model === 'string' && !names.includes(model)) throw unknownModel(model, names);
}

function unknownModel(id: string, names: readonly string[]): ApiError {
  const message = `there is no model ${JSON.stringify(id)} here: use ${names.join(', ')}`;
  return new ApiError(404, message, { param: 'model', code: 'model_not_found' });
}
