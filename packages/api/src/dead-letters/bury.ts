import { headersText, limits } from '@torcello/contracts';
import type { Context } from '../context.js';
import type { DeadLetterTable } from '../database/mailbox-tables.js';
import type { Work } from '../database/store.js';
import { apiLimits } from '../limits.js';
import { fingerprint } from './fingerprint.js';
import type { Tried } from './fingerprint.js';

/** Of a message that is too large to be kept as a whole. */
const headBytes = 65_536;

/** Puts a message aside that could not be handled, for somebody to decide. Beyond the limits the oldest ones go. */
export async function bury(
  context: Context,
  work: Work,
  grave: {
    readonly queue: string;
    readonly delivery: Tried;
    readonly reason: string;
    readonly attempts: number;
  },
): Promise<void> {
  const { queue, delivery, reason, attempts } = grave;
  const { message, destination } = delivery;
  const { messageId = null, contentType = null } = message.properties;
  const { bytes = message.body.length } = delivery;
  const isWhole = bytes === message.body.length && bytes <= limits.agentMessageBytesMax.value;
  const row: DeadLetterTable = {
    id: fingerprint(delivery),
    queue,
    message_id: messageId,
    exchange: destination.exchange,
    routing_key: destination.routingKey,
    machine_id: /^([0-9a-f]{32})\./.exec(destination.routingKey)?.[1] ?? null,
    content_type: contentType,
    headers: headersText(message.headers),
    body: isWhole ? message.body : message.body.subarray(0, headBytes),
    bytes,
    is_whole: isWhole ? 1 : 0,
    reason,
    attempts,
    at: context.clock.now(),
  };
  await work.db
    .insertInto('dead_letters')
    .values(row)
    .onConflict((conflict) => conflict.column('id').doUpdateSet({ reason, attempts, at: row.at }))
    .execute();
  await work.db.deleteFrom('message_attempts').where('id', '=', row.id).execute();
  await dropOldest(work, row.machine_id);
  context.logger.error('a message could not be handled and was put aside', {
    id: row.id,
    queue,
    machineId: row.machine_id,
    attempts,
    reason,
  });
}

/** One sender cannot push out the others before it has used up what is its own. */
async function dropOldest(work: Work, machineId: string | null): Promise<void> {
  const scopes = [
    { machineId, max: apiLimits.deadLettersPerSenderMax.value },
    { machineId: undefined, max: apiLimits.deadLettersMax.value },
  ];
  for (const { machineId: of, max } of scopes) {
    const rows = work.db
      .selectFrom('dead_letters')
      .$if(of !== undefined, (query) => query.where('machine_id', of === null ? 'is' : '=', of ?? null));
    const { count } = await rows.select((column) => column.fn.countAll<number>().as('count')).executeTakeFirstOrThrow();
    if (Number(count) <= max) continue;
    const oldest = await rows
      .select('id')
      .orderBy('at')
      .orderBy('id')
      .limit(Number(count) - max)
      .execute();
    const ids = oldest.map((row) => row.id);
    await work.db.deleteFrom('dead_letters').where('id', 'in', ids).execute();
  }
}
