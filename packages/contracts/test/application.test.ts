import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { checkApplication, namedFiles, parseDuration } from '@torcello/contracts';
import type { ApplicationDefinition } from '@torcello/contracts';

const good: ApplicationDefinition = {
  machines: { db: { min: 1 }, web: { min: 1, max: 5 } },
  deploy: [
    {
      role: 'web',
      needs: ['db'],
      steps: [{ name: 'files', files: [{ path: 'a/b.json', template: 'b.json.liquid' }] }],
    },
    { role: 'db', steps: [{ name: 'start', script: 'start.sh', timeout: '30s', env: { PORT: 1 } }] },
  ],
  destroy: [{ role: 'web', steps: [{ name: 'stop', files: [{ path: 'a/b.json', remove: true }], command: ['true'] }] }],
};

function flawsOf(change: (copy: Record<string, unknown> & { deploy: Record<string, unknown>[] }) => void): string[] {
  const copy = structuredClone(good) as unknown as Record<string, unknown> & { deploy: Record<string, unknown>[] };
  change(copy);
  return checkApplication(copy).map((flaw) => `${flaw.path}: ${flaw.message}`);
}

function withStep(step: Record<string, unknown>): string[] {
  return flawsOf((copy) => {
    copy.deploy = [{ role: 'db', steps: [{ name: 'one', ...step }] }];
    delete copy['destroy'];
  });
}

function withStage(stage: Record<string, unknown>): string[] {
  return flawsOf((copy) => (copy.deploy[0] = { ...copy.deploy[0], ...stage }));
}

describe('an application definition', () => {
  it('may roll out in batches with a gate between them, and restart machines', () => {
    for (const batch of [1, 500, '1%', '20%', '100%']) assert.deepEqual(withStage({ batch }), []);
    const steps = [{ name: 'health', script: 'health.sh' }];
    assert.deepEqual(withStage({ batch: 2, gate: { soak: '30s' } }), []);
    assert.deepEqual(withStage({ batch: 2, gate: { soak: '30s', steps } }), []);
    assert.deepEqual(withStep({ command: ['reboot'], reboot: 'expected' }), []);
    const stages = [{ role: 'db', gate: { steps }, steps: [{ name: 'one', script: 'one.sh' }] }];
    const named = namedFiles({ machines: { db: {} }, deploy: stages });
    assert.deepEqual(named, ['scripts/one.sh', 'scripts/health.sh']);
  });

  it('passes when it is whole, and names its files', () => {
    assert.deepEqual(checkApplication(good), []);
    assert.deepEqual(namedFiles(good), ['files/b.json.liquid', 'scripts/start.sh']);
  });

  const wrong: readonly (readonly [string, string[], RegExp])[] = [
    [
      'a role that is not declared',
      flawsOf((copy) => (copy.deploy[0] = { role: 'cache', steps: [{ name: 'x', command: ['true'] }] })),
      /^\/deploy\/0\/role: role "cache"/,
    ],
    [
      'a need that is no stage',
      flawsOf((copy) => (copy.deploy[0] = { ...copy.deploy[0], needs: ['nobody'] })),
      /^\/deploy\/0\/needs: needs "nobody"/,
    ],
    [
      'a circle of needs',
      flawsOf((copy) => (copy.deploy[1] = { ...copy.deploy[1], needs: ['web'] })),
      /circle: web, db/,
    ],
    [
      'the same stage twice',
      flawsOf((copy) => copy.deploy.push({ role: 'db', steps: [{ name: 'x', command: ['true'] }] })),
      /"db" is there twice/,
    ],
    ['a batch of none', withStage({ batch: 0 }), /^\/deploy\/0\/batch/],
    ['a batch over the whole', withStage({ batch: '120%' }), /^\/deploy\/0\/batch/],
    ['an empty gate', withStage({ gate: {} }), /^\/deploy\/0\/gate: is empty/],
    ['a soak that is no time', withStage({ gate: { soak: 'long' } }), /^\/deploy\/0\/gate\/soak: must be a duration/],
    [
      'a gate step with the name of the soak',
      withStage({ gate: { soak: '5s', steps: [{ name: 'soak', command: ['true'] }] } }),
      /called "soak"/,
    ],
    [
      'a step of a gate that does nothing',
      withStage({ gate: { steps: [{ name: 'x' }] } }),
      /^\/deploy\/0\/gate\/steps\/0: does nothing/,
    ],
    [
      'a restart by files alone',
      withStep({ files: [{ path: 'a', source: 'a' }], reboot: 'expected' }),
      /^\/deploy\/0\/steps\/0\/reboot/,
    ],
    ['an unknown key', flawsOf((copy) => (copy['deployy'] = [])), /additional properties: deployy/],
    ['no deploy at all', flawsOf((copy) => delete (copy as Record<string, unknown>)['deploy']), /deploy/],
    [
      'max below min',
      flawsOf((copy) => (copy['machines'] = { web: { min: 3, max: 2 }, db: {} })),
      /^\/machines\/web\/max/,
    ],
    ['script and command', withStep({ script: 'a.sh', command: ['true'] }), /both script and command/],
    ['a step that does nothing', withStep({}), /does nothing/],
    [
      'a timeout that is no duration',
      withStep({ command: ['true'], timeout: 'soon' }),
      /\/timeout: must be a duration/,
    ],
    ['a timeout over its limit', withStep({ command: ['true'], timeout: '2d' }), /at most 1d/],
    ['check without policy', withStep({ command: ['true'], check: ['true'] }), /\/check: /],
    ['a file that leaves its folder', withStep({ files: [{ path: '../etc/passwd', source: 'a' }] }), /leads out/],
    ['a source outside of the package', withStep({ files: [{ path: 'a', source: '../a' }] }), /\/files\/0\/source/],
    ['a file with two contents', withStep({ files: [{ path: 'a', source: 'a', template: 'b' }] }), /exactly one of/],
    ['a script outside of the package', withStep({ script: 'x/../../a.sh' }), /\/script/],
  ];
  for (const [what, flaws, expected] of wrong) {
    it(`is refused with ${what}`, () => assert.match(flaws.join('\n'), expected));
  }
});

describe('a duration', () => {
  const table: readonly (readonly [string, number | undefined])[] = [
    ['30s', 30_000],
    ['1h30m', 5_400_000],
    ['250ms', 250],
    ['1d', 86_400_000],
    ['30', undefined],
    ['', undefined],
    ['-1s', undefined],
    ['1s1h', undefined],
    ['1.5s', undefined],
  ];
  for (const [text, expected] of table) {
    it(`"${text}" is ${String(expected)}`, () => assert.equal(parseDuration(text), expected));
  }
});
