import { Type } from 'typebox';
import type { TSchema } from 'typebox';

/** What may be said of one run of a deployment. */
export interface DeployOptions {
  /** Plans that no agent took in this time are expired. Default: they wait. */
  readonly deliverWithinMs?: number;
  /** Ends the claim to run of every unfinished deployment of the environment with the same key. */
  readonly supersedes?: string;
  /** Instead of the batches of the application: a number of machines, or a share such as `20%`. */
  readonly batch?: number | string;
  /** Instead of the failures that each stage allows. */
  readonly maxFailures?: number;
}

const deliverWithinMsMax = 31_536_000_000;

export const deliverWithinSchema: TSchema = Type.Integer({ minimum: 1_000, maximum: deliverWithinMsMax });

export const deployOptionsSchema: TSchema = Type.Object(
  {
    deliverWithinMs: Type.Optional(deliverWithinSchema),
    supersedes: Type.Optional(Type.String({ minLength: 1, maxLength: 128 })),
    batch: Type.Optional(Type.Union([Type.Integer({ minimum: 1 }), Type.String({ pattern: '^([1-9][0-9]?|100)%$' })])),
    maxFailures: Type.Optional(Type.Integer({ minimum: 0 })),
  },
  { additionalProperties: false },
);

/** How many machines one batch holds; never none. */
export function batchSize(batch: number | string, machines: number): number {
  const size = typeof batch === 'number' ? batch : Math.ceil((machines * Number.parseInt(batch, 10)) / 100);
  return Math.max(1, size);
}
