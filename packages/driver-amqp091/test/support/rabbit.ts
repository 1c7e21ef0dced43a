import { test } from 'node:test';
import { rabbitMqMissing, startRabbitMq, type RabbitMq } from '@torcello/test-support';

const missing = rabbitMqMissing();

/** A test that talks to RabbitMQ; skipped, with the reason, where RabbitMQ is not installed. */
export function rabbitTest(name: string, body: () => Promise<void>): void {
  void test(name, { skip: missing ?? false }, body);
}

/** A node with a vhost of the file's own, and its URL; undefined where RabbitMQ is not installed. */
export async function startFresh(): Promise<{ readonly rabbit: RabbitMq; readonly url: string } | undefined> {
  if (missing !== undefined) return undefined;
  const rabbit = await startRabbitMq();
  return { rabbit, url: rabbit.url(await rabbit.freshVhost()) };
}
