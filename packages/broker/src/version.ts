/** What the broker calls itself in `connection.start` and in the management interface. */
export const product = 'Torcello';
export const version = '0.1.0';
/** The one node, in RabbitMQ's form of a name. */
export const nodeName = 'torcello@localhost';
/** The RabbitMQ whose interface this is: tools of others ask for it. */
export const rabbitMqVersion = '3.10.8';
