import { ProtocolError } from './errors.js';
import type { DecodeTableOptions } from './field-table.js';
import type { BodyFrame, HeaderFrame, MethodFrame } from './frame-reader.js';
import { messageSizeBytesDefault } from './limits.js';
import { methodSpec, type ContentMethod, type Method } from './method-types.js';
import { decodeProperties, type BasicProperties } from './properties.js';

/** A method with the content that followed it. */
export interface ContentCommand {
  readonly method: ContentMethod;
  readonly properties: BasicProperties;
  /** The properties as they came, for passing on. */
  readonly propertyBytes: Uint8Array;
  /** A view of what was read when it came in one frame; copy it to keep it for long. */
  readonly body: Uint8Array;
}
/** A method that has no content. */
export interface PlainCommand {
  readonly method: Exclude<Method, ContentMethod>;
  readonly properties?: undefined;
}
export type Command = ContentCommand | PlainCommand;

export interface ContentAssemblerOptions extends DecodeTableOptions {
  /** The largest body to accept. Default 16 MiB. */
  readonly messageSizeBytesMax?: number;
}

type State =
  | { readonly name: 'idle' }
  | { readonly name: 'header'; readonly method: ContentMethod }
  | {
      readonly name: 'body';
      readonly method: ContentMethod;
      readonly header: HeaderFrame;
      readonly properties: BasicProperties;
    };

const idle: State = { name: 'idle' };
const noBytes = new Uint8Array(0);
const firstBufferBytes = 16 * 1024;

/**
 * Puts method, header and body frames of one channel together. Counts bytes, not frames; grows with what came, not with
 * what the header promised. A body over the limit is a PRECONDITION_FAILED of the channel, as RabbitMQ answers; frames out of
 * order are an UNEXPECTED_FRAME of the connection. After an error it is idle again.
 */
export class ContentAssembler {
  readonly #options: ContentAssemblerOptions;
  readonly #messageSizeBytesMax: number;
  #state: State = idle;
  #body: Uint8Array = noBytes;
  #bodyLength = 0;

  constructor(options: ContentAssemblerOptions = {}) {
    this.#options = options;
    this.#messageSizeBytesMax = options.messageSizeBytesMax ?? messageSizeBytesDefault;
  }

  /** Whether a command is half there. */
  get isBusy(): boolean {
    return this.#state.name !== 'idle';
  }

  /** Takes the channel's next frame; gives a command when it is complete. */
  push(frame: MethodFrame | HeaderFrame | BodyFrame): Command | undefined {
    switch (frame.type) {
      case 'method':
        return this.#method(frame.method);
      case 'header':
        return this.#header(frame);
      case 'body':
        return this.#bodyPart(frame.payload);
    }
  }

  #method(method: Method): Command | undefined {
    if (this.#state.name !== 'idle')
      throw this.#unexpected(`${method.name} inside the content of ${this.#state.method.name}`);
    if (!hasContent(method)) return { method };
    this.#state = { name: 'header', method };
    return undefined;
  }

  #header(header: HeaderFrame): Command | undefined {
    if (this.#state.name !== 'header') throw this.#unexpected('a content header without its method');
    const { method } = this.#state;
    this.#reset();
    if (header.bodySizeBytes > this.#messageSizeBytesMax) throw this.#tooLarge(method, header.bodySizeBytes);
    const properties = decodeProperties(header.propertyBytes, this.#options);
    if (header.bodySizeBytes === 0) return { method, properties, propertyBytes: header.propertyBytes, body: noBytes };
    this.#state = { name: 'body', method, header, properties };
    return undefined;
  }

  #bodyPart(payload: Uint8Array): Command | undefined {
    const state = this.#state;
    if (state.name !== 'body') throw this.#unexpected('a content body without its header');
    const { bodySizeBytes, propertyBytes } = state.header;
    const length = this.#bodyLength + payload.byteLength;
    if (length > bodySizeBytes)
      throw this.#unexpected(`${length} body bytes where the header promised ${bodySizeBytes}`);
    if (payload.byteLength === bodySizeBytes) this.#body = payload;
    else this.#append(payload, bodySizeBytes);
    this.#bodyLength = length;
    if (length < bodySizeBytes) return undefined;
    const body = this.#body.byteLength === length ? this.#body : this.#body.subarray(0, length);
    this.#reset();
    return { method: state.method, properties: state.properties, propertyBytes, body };
  }

  #append(payload: Uint8Array, bodySizeBytes: number): void {
    const needed = this.#bodyLength + payload.byteLength;
    if (this.#body.byteLength < needed) {
      const grown = Buffer.allocUnsafeSlow(Math.min(bodySizeBytes, Math.max(firstBufferBytes, 2 * needed)));
      grown.set(this.#body.subarray(0, this.#bodyLength));
      this.#body = grown;
    }
    this.#body.set(payload, this.#bodyLength);
  }

  #reset(): void {
    this.#state = idle;
    this.#body = noBytes;
    this.#bodyLength = 0;
  }

  #unexpected(text: string): ProtocolError {
    this.#reset();
    return new ProtocolError('UNEXPECTED_FRAME', text);
  }

  #tooLarge(method: ContentMethod, sizeBytes: number): ProtocolError {
    const text = `message size ${sizeBytes} is larger than the ${this.#messageSizeBytesMax} bytes allowed`;
    return new ProtocolError('PRECONDITION_FAILED', text, methodSpec(method.name));
  }
}

function hasContent(method: Method): method is ContentMethod {
  return methodSpec(method.name).hasContent;
}
