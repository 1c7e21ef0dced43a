import { causes } from './causes.js';

/** `docs/why.md` as the code wants it. */
export function whyDocument(): string {
  return [
    '# Why something waits',
    '',
    '<!-- equals packages/api/src/why/causes.ts; a test of the API compares -->',
    '',
    'Whatever waits says why: in the field `why` of its view and under `GET /v1/why/{id}`, as',
    '`{code, text, since, until?, evidence?, cure, endsWith}`.',
    '',
    'A deployment is `queued` until somebody takes it, `running` while a machine runs a step of it and we have the proof,',
    '`waiting` otherwise, and then how it ended. A plan that was taken is shown as `unknown` after two missed heartbeats and',
    'as `lost` after ten; silence counts only while the API runs and its link to the broker is up. Neither ends a plan.',
    '',
    '| code | of | means | ends with | what changes it |',
    '|---|---|---|---|---|',
    ...Object.entries(causes).map(
      ([code, { of, text, endsWith, cure }]) => `| \`${code}\` | ${of.join(', ')} | ${text} | ${endsWith} | ${cure} |`,
    ),
    '',
  ].join('\n');
}
