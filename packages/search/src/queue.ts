// `@instatune/search/queue`: measuring on many machines (install bullmq and ioredis beside it).
export { queueEvaluator, type QueueOptions } from './evaluate/queue.ts';
export { startWorker, type QueueWorker, type QueueWorkerOptions } from './evaluate/queue-worker.ts';
export type { ConnectionChange } from './evaluate/redis.ts';
