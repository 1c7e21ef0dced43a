import { reportTopic } from '@torcello/contracts';
import { notificationListener } from '@torcello/messaging';
import type { Notification, Transport } from '@torcello/messaging';
import type { Service } from '@torcello/platform';
import { Type } from 'typebox';
import { Value } from 'typebox/value';
import type { Context } from '../context.js';
import { isOutage } from '../dead-letters/outage.js';
import { apiLimits } from '../limits.js';
import { isoTime } from '../times.js';

const report = Type.Object({ deploymentId: Type.String({ maxLength: 64 }), text: Type.String({ maxLength: 8_192 }) });

/** Stores the conductors' lines of progress, each once, and shows them to watchers. They decide nothing. */
export function reportListener(context: Context, transport: Transport): Service {
  const store = (level: string) => (notification: Notification) => storeOrDrop(context, level, notification);
  const endpoint = { info: store('info'), warn: store('warning'), error: store('error') };
  return notificationListener(transport, [{ topic: reportTopic }], [endpoint], {
    allowRequeue: true,
    logger: context.logger,
  });
}

/** A report that cannot be stored must not come again for ever: it decides nothing, so it goes. */
async function storeOrDrop(context: Context, level: string, notification: Notification): Promise<void> {
  try {
    await storeReport(context, level, notification);
  } catch (error) {
    if (isOutage(error)) throw error;
    context.logger.error('a report could not be stored and was dropped', { message: notification.messageId, error });
  }
}

/** A payload that is no report is dropped; a failing database gives the notification back. */
export async function storeReport(context: Context, level: string, notification: Notification): Promise<void> {
  if (!Value.Check(report, notification.payload)) return;
  const { deploymentId, text } = notification.payload as { readonly deploymentId: string; readonly text: string };
  await context.store.write(async (work) => {
    const deployment = await work.db
      .selectFrom('deployments')
      .select('environment_id')
      .where('id', '=', deploymentId)
      .executeTakeFirst();
    if (deployment === undefined) return;
    const { count } = await work.db
      .selectFrom('reports')
      .select((column) => column.fn.countAll<number>().as('count'))
      .where('deployment_id', '=', deploymentId)
      .executeTakeFirstOrThrow();
    if (Number(count) >= apiLimits.reportsPerDeploymentMax.value) return;
    const row = {
      message_id: notification.messageId,
      deployment_id: deploymentId,
      level,
      text,
      entity: 'Environment',
      entity_id: deployment.environment_id,
      created_at: context.clock.now(),
    };
    const inserted = await work.db
      .insertInto('reports')
      .values(row)
      .onConflict((conflict) => conflict.doNothing())
      .returning('id')
      .executeTakeFirst();
    if (inserted === undefined) return;
    const told = { at: isoTime(row.created_at), level, text };
    work.afterCommit(() => context.notices.tell({ type: 'report', deploymentId, report: told }));
  });
}
