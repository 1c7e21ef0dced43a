import type { ByteReader } from './byte-reader.js';
import type { ByteWriter } from './byte-writer.js';
import type { Method, MethodName, OutgoingNamed } from './method-types.js';

type HotWriters = { readonly [N in MethodName]?: (writer: ByteWriter, method: OutgoingNamed<N>) => void };

/** The methods that travel once a message, written by hand for speed. A test holds them against the method table. */
export const hotWriters: HotWriters = {
  'basic.publish': (writer, method) => {
    writer.long(0x3c_0028);
    writer.short(0);
    writer.shortText(method.exchange);
    writer.shortText(method.routingKey);
    writer.octet((method.mandatory === true ? 1 : 0) | (method.immediate === true ? 2 : 0));
  },
  'basic.deliver': (writer, method) => {
    writer.long(0x3c_003c);
    writer.shortText(method.consumerTag);
    writer.longlong(method.deliveryTag);
    writer.octet(method.redelivered === true ? 1 : 0);
    writer.shortText(method.exchange);
    writer.shortText(method.routingKey);
  },
  'basic.ack': (writer, method) => {
    writer.long(0x3c_0050);
    writer.longlong(method.deliveryTag);
    writer.octet(method.multiple === true ? 1 : 0);
  },
};

/** Keyed by class and method number. */
export const hotReaders: ReadonlyMap<number, (reader: ByteReader) => Method> = new Map<
  number,
  (reader: ByteReader) => Method
>([
  [0x3c_0028, readPublish],
  [0x3c_003c, readDeliver],
  [0x3c_0050, readAck],
]);

function readPublish(reader: ByteReader): Method {
  reader.short();
  const exchange = reader.shortText();
  const routingKey = reader.shortText();
  const bits = reader.octet();
  return { name: 'basic.publish', exchange, routingKey, mandatory: (bits & 1) !== 0, immediate: (bits & 2) !== 0 };
}

function readDeliver(reader: ByteReader): Method {
  const consumerTag = reader.shortText();
  const deliveryTag = reader.tag();
  const redelivered = (reader.octet() & 1) !== 0;
  const exchange = reader.shortText();
  return { name: 'basic.deliver', consumerTag, deliveryTag, redelivered, exchange, routingKey: reader.shortText() };
}

function readAck(reader: ByteReader): Method {
  return { name: 'basic.ack', deliveryTag: reader.tag(), multiple: (reader.octet() & 1) !== 0 };
}
