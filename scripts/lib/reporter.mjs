/**
 * Reporter of the test runs: a line for every failure and every skip as they come, and the counts as one last line of
 * JSON, with the files in which something failed. Suites and files are not counted, only tests. A test that a transport's declared capability excuses ("needs …") is
 * named and counted apart from one that could not run for want of a program.
 */
export default async function* reporter(source) {
  const failedFiles = new Set();
  const counts = { passed: 0, failed: 0, skipped: 0, excused: 0 };
  for await (const { type, data } of source) {
    if (type === 'test:fail' && isTest(data)) {
      counts.failed += 1;
      failedFiles.add(data.file);
      yield `FAILED  ${data.name}  (${data.file ?? ''}:${data.line ?? ''})\n${describe(data.details.error)}\n`;
    } else if (type === 'test:pass' && isTest(data)) {
      if (data.skip !== undefined || data.todo !== undefined) {
        const why = String(data.skip ?? data.todo);
        const isExcused = why.startsWith('needs ');
        counts[isExcused ? 'excused' : 'skipped'] += 1;
        yield `${isExcused ? 'EXCUSED' : 'SKIPPED'} ${data.name}: ${why}\n`;
      } else counts.passed += 1;
    } else if (type === 'test:stderr' || type === 'test:stdout') {
      yield data.message;
    }
  }
  yield `${JSON.stringify({ counts, failedFiles: [...failedFiles] })}\n`;
}

function isTest(data) {
  return data.details.type !== 'suite' && !(data.details.error?.failureType === 'subtestsFailed');
}

function describe(error) {
  const cause = error?.cause ?? error;
  const text = cause?.stack ?? cause?.message ?? String(cause);
  return `${text}\n`.replaceAll(/^/gm, '    ');
}
