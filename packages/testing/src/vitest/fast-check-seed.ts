// vitest setup file: every property test of the run draws from FC_SEED, which vitest.base.ts sets.
import { configureGlobal, readConfigureGlobal } from 'fast-check';

configureGlobal({ ...readConfigureGlobal(), seed: Number(process.env['FC_SEED']) });
