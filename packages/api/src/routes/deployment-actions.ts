import { Type } from 'typebox';
import type { FastifyInstance } from 'fastify';
import { cancelDeployment, graceMsDefault } from '../deployments/cancel.js';
import { deliverWithinSchema } from '../deployments/order.js';
import { resumeDeployment } from '../deployments/resume.js';
import { visiblePackages } from '../environments/resolve.js';
import { Refusal } from '../errors.js';
import type { ApiServices } from './api-services.js';
import { findDeployment } from './deployments.js';
import { answer, list, params, text } from './schemas.js';

const tags = ['deployments'];
const deployment = answer('Deployment', { id: text, state: text, plans: list });
const graceMsMax = 3_600_000;

type Params = { Params: { d: string } };

interface ResumeBody {
  readonly packages?: Readonly<Record<string, string>>;
  readonly deliverWithinMs?: number;
}

/** Second thoughts: cancel and resume. */
export function deploymentActionRoutes(app: FastifyInstance, services: ApiServices): void {
  app.post<Params & { Body: { graceMs?: number } | null | undefined }>(
    '/v1/deployments/:d/cancel',
    {
      schema: {
        summary: 'End a deployment; every machine answers what became of its part',
        tags,
        params: params('d'),
        body: Type.Union([
          Type.Null(),
          Type.Object(
            { graceMs: Type.Optional(Type.Integer({ minimum: 0, maximum: graceMsMax })) },
            { additionalProperties: false },
          ),
        ]),
        response: { 200: deployment },
      },
    },
    async (request) => {
      const { graceMs = graceMsDefault } = request.body ?? {};
      await cancelDeployment(services, { deploymentId: request.params.d, graceMs });
      return services.views.deployment(await findDeployment(services, request.params.d));
    },
  );

  app.post<Params & { Body: ResumeBody | null | undefined }>(
    '/v1/deployments/:d/resume',
    {
      schema: {
        summary: 'Try again what failed or never started, from the step that failed',
        tags,
        params: params('d'),
        body: Type.Union([
          Type.Null(),
          Type.Object(
            {
              packages: Type.Optional(
                Type.Record(Type.String({ maxLength: 64 }), Type.String({ maxLength: 64 }), {
                  description: 'Ids of corrected packages by service.',
                }),
              ),
              deliverWithinMs: Type.Optional(deliverWithinSchema),
            },
            { additionalProperties: false },
          ),
        ]),
        response: { 200: deployment },
      },
    },
    async (request) => {
      const { packages = {}, deliverWithinMs } = request.body ?? {};
      await refuseForeignPackages(services, request.params.d, Object.values(packages));
      await resumeDeployment(services, { deploymentId: request.params.d, packages, deliverWithinMs });
      return services.views.deployment(await findDeployment(services, request.params.d));
    },
  );
}

/** A package of another tenant is none, unless it is public. @throws Refusal unknown_package. */
async function refuseForeignPackages(
  services: ApiServices,
  deploymentId: string,
  packageIds: readonly string[],
): Promise<void> {
  if (packageIds.length === 0) return;
  const { store, owners } = services.context;
  const { environment_id: environmentId } = await findDeployment(services, deploymentId);
  const rows = await store.db.selectFrom('packages').selectAll().where('id', 'in', packageIds).execute();
  const isVisible = visiblePackages(owners, environmentId);
  const foreign = rows.find((row) => !isVisible(row));
  if (foreign !== undefined) throw new Refusal('unknown_package', `no package ${foreign.id} that can be deployed`);
}
