// In which precision products are computed, and whether the backend has it.
import { SupernetError } from '../errors.ts';
import { whyNoHalfProducts, withHalfProducts } from '../webgpu/half-products.ts';

/** How products are computed. */
export type Precision = 'float32' | 'mixed';

/** @throws SupernetError `invalid-option` for another precision, `unsupported` where the backend has no mixed one, with the reason */
export function checkPrecision(precision: Precision): void {
  if (precision !== 'float32' && precision !== 'mixed')
    throw new SupernetError('invalid-option', `precision = ${String(precision)}: expected float32 or mixed`, {
      precision,
    });
  const reason = precision === 'mixed' ? whyNoHalfProducts() : undefined;
  if (reason === undefined) return;
  throw new SupernetError(
    'unsupported',
    `precision mixed: ${reason}; setUpTfjs({ mixed: true }) asks for what it needs, float32 runs everywhere`,
    {
      precision,
    },
  );
}

/** Runs synchronous work in a precision. @throws SupernetError as {@link checkPrecision} */
export function inPrecision<T>(precision: Precision | undefined, run: () => T): T {
  if (precision === undefined || precision === 'float32') return run();
  checkPrecision(precision);
  return withHalfProducts(run);
}
