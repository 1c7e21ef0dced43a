export { FaultProxy } from './fault-proxy.js';
export { freePort } from './free-port.js';
export { removeFolder, temporaryFolder } from './temporary-folder.js';
export { run } from './process.js';
export type { Running, RunOptions } from './process.js';
export { protonMissing, startProtonBroker } from './proton.js';
export type { ProtonBroker, ProtonFlavour } from './proton.js';
export { rabbitMqMissing, shareRabbitMq, startRabbitMq } from './rabbitmq.js';
export type { RabbitMq } from './rabbitmq.js';
