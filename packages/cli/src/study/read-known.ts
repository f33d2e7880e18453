// Measurements of the file that `--measurements` names: what it takes to read them is asked for by the command's own options.
import { SearchError } from '@instatune/search';
import { readMeasurements } from '@instatune/search/node';

/** Options that say what an error of {@link readMeasurements} misses. */
const OPTIONS: Readonly<Partial<Record<SearchError['code'], string>>> = {
  'study-missing': '--measurements-name NAME',
  'invalid-option': '--measurements-objectives NAME,…',
};

/** @param objectives names of an Optuna study's, none where the file has them */
export async function readKnown(
  path: string,
  study: string | undefined,
  objectives: readonly string[],
): ReturnType<typeof readMeasurements> {
  try {
    return await readMeasurements(path, { study, ...(objectives.length === 0 ? {} : { objectives }) });
  } catch (error) {
    const option = error instanceof SearchError ? OPTIONS[error.code] : undefined;
    if (!(error instanceof SearchError) || option === undefined) throw error;
    // The message ends with how a program says it.
    const message = error.message.replace(/, `[^`]*`$/, '');
    throw new SearchError(error.code, `${message} (${option})`, error.details, { cause: error });
  }
}
