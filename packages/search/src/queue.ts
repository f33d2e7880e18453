// `@instatune/search/queue`: measuring on many machines (brings BullMQ and ioredis).
export { queueEvaluator, type QueueOptions } from './evaluate/queue.ts';
export { startWorker, type QueueWorker, type QueueWorkerOptions } from './evaluate/queue-worker.ts';
