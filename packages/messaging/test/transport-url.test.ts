import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import { describeTransportUrl, isMessagingError, parseTransportUrl } from '../src/index.js';

interface Vector {
  readonly url: string;
  readonly transport?: string;
  readonly virtual_host?: string | null;
  readonly query?: Readonly<Record<string, string>>;
  readonly hosts?: readonly {
    hostname: string;
    port: number | null;
    username: string | null;
    password: string | null;
  }[];
  readonly raises?: string;
}

const vectors = JSON.parse(readFileSync(new URL('golden/vectors-transport-url.json', import.meta.url), 'utf8')) as {
  readonly cases: readonly Vector[];
};

for (const vector of vectors.cases) {
  test(`parses ${vector.url} as oslo.messaging does`, () => {
    if (vector.raises !== undefined) {
      assert.throws(
        () => parseTransportUrl(vector.url),
        (error) => isMessagingError(error, 'INVALID_URL'),
      );
      return;
    }
    const parsed = parseTransportUrl(vector.url);
    assert.equal(parsed.scheme, vector.transport);
    assert.equal(parsed.vhost ?? null, vector.virtual_host);
    assert.deepEqual(Object.fromEntries(parsed.options), vector.query);
    const hosts = parsed.hosts.map(({ host, port, username, password }) => ({
      hostname: host,
      port: port ?? null,
      username: username ?? null,
      password: password ?? null,
    }));
    assert.deepEqual(hosts, vector.hosts);
  });
}

test('a URL without slashes names only the driver', () => {
  assert.deepEqual(parseTransportUrl('memory:'), { scheme: 'memory', hosts: [], vhost: undefined, options: new Map() });
});

for (const url of [
  'rabbit://host/#x',
  'rabbit://[::1/',
  'rabbit://[::1]x/',
  'rabbit://h:99999/',
  'rabbit://u:%zz@h/',
]) {
  test(`refuses ${url} without repeating it`, () => {
    assert.throws(
      () => parseTransportUrl(url),
      (error) => isMessagingError(error, 'INVALID_URL') && !error.message.includes(url),
    );
  });
}

test('the description for logs holds no password', () => {
  const url = parseTransportUrl('rabbit://u:secret@h1:1,u:secret@[::1]/v%2Fh');
  assert.equal(describeTransportUrl(url), 'rabbit://h1:1,[::1]/v%2Fh');
});
