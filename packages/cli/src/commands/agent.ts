import type { Command } from 'commander';
import type { AgentView } from '../client/views.js';
import { formatAge, parseInstant } from '../output/text.js';
import { apiCommand, type ActionWorld, type CommandRun, type CommonOptions } from './command-kit.js';
import { programCommand } from './programs.js';

/** `torcello agent`: runs an agent; `torcello agent list` shows all of them. */
export function agentCommand(run: CommandRun): Command {
  return programCommand(run, 'agent', 'run an agent on this machine (--join LINE), or list all agents').addCommand(
    apiCommand(run, 'list', 'list the agents and when each was last heard of', list),
  );
}

async function list({ client, printer, context }: ActionWorld<CommonOptions>): Promise<void> {
  const agents = await client.agents();
  const nowMs = context.clock.now();
  printer.table(agents, {
    columns: [
      { title: 'MACHINE' },
      { title: 'ENVIRONMENT' },
      { title: 'STATE' },
      { title: 'LAST HEARD', align: 'right' },
      { title: 'HOST' },
      { title: 'VERSION' },
      { title: 'RUNNING' },
    ],
    rows: agents.map((agent) => row(agent, nowMs)),
    empty: 'No machine yet. Try: torcello machine add ENVIRONMENT --role ROLE',
  });
}

function row(agent: AgentView, nowMs: number): readonly string[] {
  const heardMs = parseInstant(agent.lastHeartbeatAt);
  return [
    agent.machineName,
    agent.environment,
    agent.state,
    heardMs === undefined ? '-' : `${formatAge(nowMs - heardMs)} ago`,
    agent.hostname ?? '-',
    agent.agentVersion ?? '-',
    agent.runningPlan ?? '-',
  ];
}
