// vitest global setup: prints the seed of the property tests once a run.
export function setup(): void {
  process.stdout.write(`fast-check seed ${process.env['FC_SEED']} (FC_SEED=${process.env['FC_SEED']} repeats it)\n`);
}
