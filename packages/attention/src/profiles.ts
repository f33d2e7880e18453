// Profiles that ship with the package: benchmarks/src/quality/make-profiles.ts makes them.
import smallBooks from '../profiles/books-lm-6m.json' with { type: 'json' };
import largeBooks from '../profiles/books-lm-14m.json' with { type: 'json' };
import smol from '../profiles/smollm2-135m-instruct.json' with { type: 'json' };
import { loadProfile, type CalibrationProfile } from './fidelity/profile.ts';

/** Of books-lm-6m. */
export const booksLm6m: CalibrationProfile = /* @__PURE__ */ loadProfile(smallBooks);
/** Of books-lm-14m. */
export const booksLm14m: CalibrationProfile = /* @__PURE__ */ loadProfile(largeBooks);
/** Of SmolLM2-135M-Instruct. */
export const smollm2: CalibrationProfile = /* @__PURE__ */ loadProfile(smol);
