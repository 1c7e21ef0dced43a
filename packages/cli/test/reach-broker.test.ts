import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import { systemClock, type HostPort, type Network } from '@torcello/platform';
import { hostsOf, requireReachable } from '../src/plant/reach-broker.js';

test('the hosts of a URL are found without its logins', () => {
  const table: readonly (readonly [string, readonly HostPort[]])[] = [
    ['rabbit://guest:guest@127.0.0.1:5673/', [{ host: '127.0.0.1', port: 5673 }]],
    ['amqp://broker', [{ host: 'broker', port: 5672 }]],
    [
      'rabbit://u:p%40@a:1,u:p@[::1]:2/vhost?x=1',
      [
        { host: 'a', port: 1 },
        { host: '::1', port: 2 },
      ],
    ],
    ['memory:', []],
  ];
  for (const [url, hosts] of table) assert.deepEqual(hostsOf(url), hosts);
});

test('one host that answers is enough; when none does, each is named without the login', async () => {
  const asked: string[] = [];
  const only = (port: number): Network => ({
    dial: (to) => {
      asked.push(`${to.host}:${to.port}`);
      if (to.port === port) return Promise.resolve(new PassThrough());
      return Promise.reject(Object.assign(new Error('refused'), { code: 'ECONNREFUSED' }));
    },
  });
  await requireReachable('rabbit://u:secret@a:1,u:secret@b:2/', systemClock, only(2));
  assert.deepEqual(asked, ['a:1', 'b:2']);
  await assert.rejects(requireReachable('rabbit://u:secret@a:1,u:secret@b:2/', systemClock, only(3)), {
    code: 'broker_unreachable',
    exitCode: 4,
    message: 'no broker answers at a:1 (ECONNREFUSED), b:2 (ECONNREFUSED)',
  });
});
