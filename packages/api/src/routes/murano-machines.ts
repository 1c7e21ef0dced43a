import { isMuranoQueue } from '@torcello/contracts';
import type { FastifyInstance } from 'fastify';
import type { MachineRow } from '../database/tables.js';
import { Refusal } from '../errors.js';
import type { AgentAccounts } from '../machines/accounts.js';
import { agentConf, muranoUserData } from '../murano-agents/agent-conf.js';
import type { ApiServices } from './api-services.js';
import { params } from './schemas.js';

type Params = { Params: { m: string } };

/** What a machine with a real muranoagent is set up with. Both answers hold its login at the broker. */
export function muranoMachineRoutes(app: FastifyInstance, services: ApiServices): void {
  const { machines, accounts } = services;
  const schema = (summary: string) => ({ summary, tags: ['machines'], params: params('m') });

  app.get<Params>(
    '/v1/machines/:m/agent-conf',
    { schema: schema('agent.conf of a machine with a muranoagent; holds a secret') },
    async (request, reply) => {
      const machine = await machines.find(request.params.m);
      return reply
        .type('text/plain; charset=utf-8')
        .header('cache-control', 'no-store')
        .send(await confOf(machine, accounts));
    },
  );

  app.get<Params>(
    '/v1/machines/:m/user-data',
    { schema: schema('cloud-init user data of a machine with a muranoagent; holds a secret') },
    async (request, reply) => {
      const machine = await machines.find(request.params.m);
      return reply
        .type('text/cloud-config; charset=utf-8')
        .header('cache-control', 'no-store')
        .send(muranoUserData(machine.name, await confOf(machine, accounts)));
    },
  );
}

/** Makes the login (again): the same machine gets the same one. */
async function confOf(machine: MachineRow, accounts: AgentAccounts): Promise<string> {
  const { id: machineId, mailbox, enrolment } = machine;
  if (!isMuranoQueue(mailbox)) {
    throw new Refusal('invalid_request', `${machine.name} has an agent of ours, which joins with its join line`, {
      cure: `torcello machine join-line ${machineId}`,
    });
  }
  accounts.check();
  const transportUrl = await accounts.create({ machineId, enrolment: Math.max(1, enrolment), mailbox });
  return agentConf({ machineId, mailbox, transportUrl });
}
