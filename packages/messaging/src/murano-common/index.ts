export { MqClient } from './mq-client.js';
export type { MqClientOptions, MqDeclaration, MqMessage } from './mq-client.js';
export { MqSubscription } from './mq-subscription.js';
export type { MqDelivery } from './mq-subscription.js';
