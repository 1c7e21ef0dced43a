/**
 * Installs the foreign programs that the tests talk to, through Debian's packages. Needs root; says what is missing
 * where it cannot install.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, rmSync, writeFileSync } from 'node:fs';

const packages = [
  'rabbitmq-server',
  'python3-oslo.messaging',
  'python3-pika',
  'python3-kombu',
  'python3-muranoclient',
  'murano-agent',
  'python3-keystone',
  'python3-murano',
  'murano-common',
  // Qpid Proton's example broker is compiled by the tests.
  'libqpid-proton11-dev-examples',
  'libqpid-proton-cpp12-dev',
  'g++',
  'python3-qpid-proton',
  'python3-pyngus',
  'golang-go',
  'golang-github-rabbitmq-amqp091-go-dev',
];

const isInstalled = (name) =>
  spawnSync('dpkg-query', ['-W', '-f=${Status}', name], { encoding: 'utf8' }).stdout?.includes('ok installed') === true;

const missing = packages.filter((name) => !isInstalled(name));
if (missing.length === 0) process.exit(0);
if (process.getuid?.() !== 0) {
  console.log(`not installed: ${missing.join(' ')}. As root: apt-get install ${missing.join(' ')}`);
  process.exit(0);
}
const options = { stdio: ['ignore', 2, 2], env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } };

// The packages would start their servers; the tests start their own. Debian's own switch for that is this file.
const policy = '/usr/sbin/policy-rc.d';
const isPolicyOurs = !existsSync(policy);
if (isPolicyOurs) writeFileSync(policy, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
spawnSync('apt-get', ['update', '-qq'], options);
const { status } = spawnSync('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...missing], options);
if (isPolicyOurs) rmSync(policy);
process.exit(status ?? 1);
