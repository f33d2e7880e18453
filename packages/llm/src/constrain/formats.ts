// Formats of strings (JSON Schema 2020-12 validation, section 7.3) as expressions; of those that are open, such as uri, nothing is held to.
const MONTHS31 = '(0[13578]|1[02])';
const DATE = `\\d{4}-(${MONTHS31}-(0[1-9]|[12]\\d|3[01])|(0[469]|11)-(0[1-9]|[12]\\d|30)|02-(0[1-9]|1\\d|2[0-8]))`;
const TIME = '([01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(\\.\\d{1,6})?(Z|[+-]([01]\\d|2[0-3]):[0-5]\\d)';
const BYTE = '(25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)';
const LABEL = '[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?';

const FORMATS: Readonly<Record<string, string>> = {
  date: DATE,
  time: TIME,
  'date-time': `${DATE}T${TIME}`,
  duration: 'P(\\d{1,4}W|\\d{1,4}D|T\\d{1,4}[HMS])',
  email: `[a-z0-9_+-]{1,32}(\\.[a-z0-9_+-]{1,32})?@${LABEL}(\\.${LABEL}){1,3}`,
  hostname: `${LABEL}(\\.${LABEL}){0,3}`,
  ipv4: `${BYTE}(\\.${BYTE}){3}`,
  ipv6: '[0-9a-f]{1,4}(:[0-9a-f]{1,4}){7}',
  uuid: '[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}',
};

/** Undefined for a format that nothing is held to. */
export function formatOf(format: unknown): string | undefined {
  return typeof format === 'string' && Object.hasOwn(FORMATS, format) ? `^(${FORMATS[format] as string})$` : undefined;
}
