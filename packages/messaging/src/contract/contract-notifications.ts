import type { NotificationEndpoint, NotificationOutcome } from '../notify/listener.js';
import { notifier, type NotifierOptions } from '../notify/notifier.js';
import { priorities, type Notification, type Priority } from '../notify/notification.js';
import type { Transport } from '../transport/transport.js';
import { checked } from './contract-error.js';
import type { ContractNotification, ContractParts } from './contract.js';
import type { InputOf, OutputOf } from './standard-schema.js';

type NotificationsOf<C extends ContractParts> =
  C['notifications'] extends Readonly<Record<string, ContractNotification>> ? C['notifications'] : Record<never, never>;
type PayloadOf<N> = N extends { readonly payload: infer S } ? S : never;

/** Tells the events of a contract. @throws CONTRACT_VIOLATED before sending. */
export type ContractNotifier<C extends ContractParts> = Readonly<
  Record<
    Priority,
    <E extends string & keyof NotificationsOf<C>>(
      eventType: E,
      payload: InputOf<PayloadOf<NotificationsOf<C>[E]>>,
      context?: Readonly<Record<string, unknown>>,
    ) => Promise<void>
  >
>;

/** Tells the notifications of a contract: a method for each, which checks the payload before it is sent. */
export function contractNotifier<C extends ContractParts>(
  transport: Transport,
  contract: C,
  options: NotifierOptions,
): ContractNotifier<C> {
  const plain = notifier(transport, options);
  const notify =
    (priority: Priority) =>
    async (eventType: string, payload: unknown, context?: Readonly<Record<string, unknown>>): Promise<void> => {
      await checked(contract.notifications?.[eventType]?.payload, payload, { place: 'payload', name: eventType });
      await plain[priority](eventType, payload, context);
    };
  return Object.fromEntries(
    priorities.map((priority) => [priority, notify(priority)]),
  ) as unknown as ContractNotifier<C>;
}

/** Handlers by event type; types without one are accepted unread. */
export type ContractNotificationHandlers<C extends ContractParts> = {
  readonly [E in string & keyof NotificationsOf<C>]?: (
    notification: Omit<Notification, 'payload'> & { readonly payload: OutputOf<PayloadOf<NotificationsOf<C>[E]>> },
  ) => NotificationOutcome | Promise<NotificationOutcome>;
};

/** An endpoint for `notificationListener` that reads these priorities of a contract's events; what does not fit fails. */
export function contractListenerEndpoint<C extends ContractParts>(
  contract: C,
  handlers: ContractNotificationHandlers<C>,
  read: readonly Priority[] = priorities,
): NotificationEndpoint {
  const byType = handlers as Readonly<Record<string, ((notification: Notification) => unknown) | undefined>>;
  const handle = async (notification: Notification): Promise<NotificationOutcome> => {
    const { eventType } = notification;
    const handler = Object.hasOwn(byType, eventType) ? byType[eventType] : undefined;
    if (handler === undefined) return 'handled';
    const schema = contract.notifications?.[eventType]?.payload;
    const payload = await checked(schema, notification.payload, { place: 'payload', name: eventType });
    return (await handler({ ...notification, payload })) as NotificationOutcome;
  };
  return Object.fromEntries(read.map((priority) => [priority, handle]));
}
