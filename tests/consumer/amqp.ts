import { amqp091Driver } from '@torcello/driver-amqp091';
import { isMessagingError, parseTransportUrl, type Capabilities, type Driver } from '@torcello/messaging';
import { MqClient } from '@torcello/messaging/murano-common';

const driver: Driver = amqp091Driver();
const needs: readonly (keyof Capabilities)[] = ['mailboxes', 'returns'];
console.log(driver.schemes.join(), needs.length, parseTransportUrl('rabbit://a:b@one,two/x').hosts.length);
const client = new MqClient({
  login: 'a',
  password: 'b',
  host: '127.0.0.1',
  port: 1,
  virtualHost: '/',
  drivers: [driver],
});
try {
  await client.connect({ timeoutMs: 50 });
} catch (error) {
  console.log(isMessagingError(error) && error.code);
}
