import { agentsExchange, muranoAnswerKey } from '@torcello/contracts';
import { parseTransportUrl } from '@torcello/messaging';
import { Refusal } from '../errors.js';

export interface AgentConfOrder {
  readonly machineId: string;
  readonly mailbox: string;
  /** The broker as agents reach it, with the machine's own login. */
  readonly transportUrl: string;
}

/**
 * `agent.conf` of a real muranoagent. Its answers go to the exchange of all agents, under a key that begins with the
 * machine, so that its login may be as narrow as that of an agent of ours.
 * @throws Refusal not_ready where its client cannot reach the broker.
 */
export function agentConf({ machineId, mailbox, transportUrl }: AgentConfOrder): string {
  const url = parseTransportUrl(transportUrl);
  const [host] = url.hosts;
  if (host === undefined || !['amqp', 'amqps', 'rabbit'].includes(url.scheme)) {
    throw new Refusal('not_ready', `a muranoagent cannot connect to a broker by ${url.scheme}:`, {
      cure: 'name an AMQP 0-9-1 address with --agent-transport',
    });
  }
  const isTls = url.scheme === 'amqps' || /^(1|true|yes|on)$/i.test(url.options.get('ssl') ?? '');
  const authority = url.options.get('ssl_ca_file');
  const vhost = url.vhost === undefined || url.vhost === '' ? '/' : url.vhost;
  return [
    '[DEFAULT]',
    'storage = /var/lib/murano/agent',
    '',
    '[rabbitmq]',
    // Its client puts the host into a URL.
    `host = ${host.host.includes(':') ? `[${host.host}]` : host.host}`,
    `port = ${host.port ?? (isTls ? 5671 : 5672)}`,
    `login = ${host.username ?? 'guest'}`,
    `password = ${host.password ?? 'guest'}`,
    `virtual_host = ${vhost}`,
    ...(isTls ? ['ssl = True', ...(authority === undefined ? [] : [`ca_certs = ${authority}`])] : []),
    `input_queue = ${mailbox}`,
    `result_exchange = ${agentsExchange}`,
    `result_routing_key = ${muranoAnswerKey(machineId)}`,
    '',
  ].join('\n');
}

const confPath = '/etc/murano/agent.conf';
const starterPath = '/usr/local/lib/torcello/muranoagent.py';

/**
 * Starts muranoagent with one repair: release 10.0.0, which Debian 12 has, opens the file of a plan for bytes and writes
 * text, and so can run none. Later releases are the same with and without it.
 */
export const muranoAgentStarter: string = [
  'import sys, eventlet; eventlet.monkey_patch()',
  'import muranoagent.cmd.run as run, muranoagent.execution_plan_queue as queue',
  "queue.open = lambda path, mode='r': open(path, 'w' if mode == 'wb' else mode)",
  'sys.exit(run.main())',
  '',
].join('\n');

/** The agent's unit; the steps' processes outlive it, and the next one asks after them. */
const dropIn = [
  '[Service]',
  'ExecStart=',
  `ExecStart=/usr/bin/python3 ${starterPath} --config-file ${confPath}`,
  'Restart=always',
  'RestartSec=2',
  'KillMode=process',
  '',
].join('\n');

/** cloud-init user data for a machine on which Debian's (or Ubuntu's) murano-agent shall run. */
export function muranoUserData(name: string, conf: string): string {
  const file = (path: string, mode: string, content: string): readonly string[] => [
    `  - path: ${path}`,
    `    permissions: '${mode}'`,
    `    content: ${JSON.stringify(content)}`,
  ];
  return [
    '#cloud-config',
    `# muranoagent of the machine ${name}`,
    'package_update: true',
    'packages: [murano-agent]',
    'write_files:',
    ...file(confPath, '0600', conf),
    ...file(starterPath, '0644', muranoAgentStarter),
    ...file('/etc/systemd/system/murano-agent.service.d/torcello.conf', '0644', dropIn),
    'runcmd:',
    '  - [mkdir, -p, -m, "0700", /var/lib/murano/agent]',
    '  - [systemctl, daemon-reload]',
    '  - [systemctl, enable, murano-agent.service]',
    '  - [systemctl, restart, murano-agent.service]',
    '',
  ].join('\n');
}
