import type { Broker } from '../broker.js';
import type { ChannelAbout, ConnectionAbout } from '../connection-about.js';
import { nodeName } from '../version.js';
import type { Shown } from './listings.js';

/** Connections as RabbitMQ's management interface shows them. */
export function shownConnections(broker: Broker): Shown[] {
  return broker.connections().map((one) => ({
    ...ends(one),
    host: one.localAddress,
    port: one.localPort,
    user: one.user,
    vhost: one.vhost,
    node: nodeName,
    state: one.state,
    channels: one.channels.length,
    type: 'network',
    protocol: 'AMQP 0-9-1',
    ssl: one.isEncrypted,
    connected_at: one.openedAtMs,
    user_provided_name: one.clientProperties['connection_name'] ?? '',
    client_properties: one.clientProperties,
  }));
}

export function shownChannels(broker: Broker): Shown[] {
  return broker.connections().flatMap((connection) =>
    connection.channels.map((channel) => ({
      name: channelName(connection, channel),
      number: channel.number,
      user: connection.user,
      vhost: connection.vhost,
      node: nodeName,
      state: 'running',
      consumer_count: channel.consumers.length,
      messages_unacknowledged: channel.unsettled,
      messages_unconfirmed: channel.unconfirmed,
      prefetch_count: channel.prefetch,
      global_prefetch_count: channel.prefetchTotal,
      confirm: channel.isConfirming,
      transactional: channel.isTransactional,
      connection_details: ends(connection),
    })),
  );
}

/** Consumers of all virtual hosts, or of one. */
export function shownConsumers(broker: Broker, vhost?: string): Shown[] {
  const connections = broker.connections().filter((one) => vhost === undefined || one.vhost === vhost);
  return connections.flatMap((connection) =>
    connection.channels.flatMap((channel) =>
      channel.consumers.map((consumer) => ({
        consumer_tag: consumer.tag,
        queue: { name: consumer.queue, vhost: connection.vhost },
        ack_required: !consumer.isSettledAtOnce,
        exclusive: consumer.isExclusive,
        prefetch_count: consumer.prefetch,
        arguments: consumer.priority === 0 ? {} : { 'x-priority': consumer.priority },
        channel_details: {
          name: channelName(connection, channel),
          number: channel.number,
          user: connection.user,
          connection_name: connection.name,
          node: nodeName,
        },
      })),
    ),
  );
}

function ends({ name, address, port }: ConnectionAbout): Shown {
  return { name, peer_host: address, peer_port: port };
}

function channelName(connection: ConnectionAbout, channel: ChannelAbout): string {
  return `${connection.name} (${channel.number})`;
}
