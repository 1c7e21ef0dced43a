/**
 * Reporter of the test runs: a line for every failure and every skip as they come, and the counts as one last line of
 * JSON. Suites and files are not counted, only tests.
 */
export default async function* reporter(source) {
  const counts = { passed: 0, failed: 0, skipped: 0 };
  for await (const { type, data } of source) {
    if (type === 'test:fail' && isTest(data)) {
      counts.failed += 1;
      yield `FAILED  ${data.name}  (${data.file ?? ''}:${data.line ?? ''})\n${describe(data.details.error)}\n`;
    } else if (type === 'test:pass' && isTest(data)) {
      if (data.skip !== undefined || data.todo !== undefined) {
        counts.skipped += 1;
        yield `SKIPPED ${data.name}: ${data.skip ?? data.todo}\n`;
      } else counts.passed += 1;
    } else if (type === 'test:stderr' || type === 'test:stdout') {
      yield data.message;
    }
  }
  yield `${JSON.stringify({ counts })}\n`;
}

function isTest(data) {
  return data.details.type !== 'suite' && !(data.details.error?.failureType === 'subtestsFailed');
}

function describe(error) {
  const cause = error?.cause ?? error;
  const text = cause?.stack ?? cause?.message ?? String(cause);
  return `${text}\n`.replaceAll(/^/gm, '    ');
}
