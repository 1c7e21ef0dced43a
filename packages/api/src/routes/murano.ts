import type { FastifyInstance } from 'fastify';
import { MuranoDocuments } from '../database/murano-documents.js';
import { Refusal } from '../errors.js';
import type { ApiServices } from './api-services.js';
import { muranoActionRoutes } from './murano-actions.js';
import { muranoCategoryRoutes } from './murano-categories.js';
import { muranoModelRoutes } from './murano-model.js';
import { muranoPackageRoutes } from './murano-packages.js';
import { muranoTemplateRoutes } from './murano-templates.js';

/** The rest of the Murano API v1: what its own client can ask for and Torcello's programs do not need. */
export function muranoRoutes(app: FastifyInstance, services: ApiServices): void {
  const documents = new MuranoDocuments(services.context.store);
  readPatches(app);
  muranoModelRoutes(app, services);
  muranoTemplateRoutes(app, services, documents);
  muranoCategoryRoutes(app, services, documents);
  muranoPackageRoutes(app, services, documents);
  muranoActionRoutes(app, services);
}

function readPatches(app: FastifyInstance): void {
  const types = ['application/env-model-json-patch', 'application/murano-packages-json-patch'];
  app.addContentTypeParser(types, { parseAs: 'string' }, (_request, body, done) => {
    try {
      done(null, JSON.parse(body.toString()));
    } catch {
      done(new Refusal('invalid_request', 'the body is no JSON'));
    }
  });
}
