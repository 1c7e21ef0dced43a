import type { FastifyInstance } from 'fastify';
import { principalOf } from '../access/guard.js';
import { isoTime } from '../times.js';
import type { ApiServices } from './api-services.js';
import { answer, list } from './schemas.js';

/** Every machine with what is known of its agent. */
export function agentRoutes(app: FastifyInstance, services: ApiServices): void {
  app.get(
    '/v1/agents',
    {
      schema: {
        summary: 'Agents with the last evidence of their life',
        tags: ['agents'],
        response: { 200: answer('Agents', { agents: list }) },
      },
    },
    async (request) => {
      const rows = await services.context.store.db
        .selectFrom('machines')
        .innerJoin('environments', 'environments.id', 'machines.environment_id')
        .selectAll('machines')
        .select('environments.name as environment')
        .orderBy('environments.name')
        .orderBy('machines.role')
        .orderBy('machines.place')
        .execute();
      const principal = principalOf(request);
      const visible = rows.filter((row) => services.context.owners.isVisible(row.environment_id, principal));
      const agents = visible.map((row) => ({
        machineId: row.id,
        machineName: row.name,
        environment: row.environment,
        ...(row.hostname === null ? {} : { hostname: row.hostname }),
        ...(row.agent_version === null ? {} : { agentVersion: row.agent_version }),
        ...(row.joined_at === null ? {} : { joinedAt: isoTime(row.joined_at) }),
        ...(row.last_heartbeat_at === null ? {} : { lastHeartbeatAt: isoTime(row.last_heartbeat_at) }),
        ...(row.running_plan === null ? {} : { runningPlan: row.running_plan }),
        ...(row.notices === null ? {} : { notices: JSON.parse(row.notices) as unknown }),
        ...services.presence.judge({ joinedAtMs: row.joined_at, lastHeartbeatAtMs: row.last_heartbeat_at }),
      }));
      return { agents };
    },
  );
}
