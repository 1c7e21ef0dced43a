export { amqp091Driver } from './driver.js';
export type { Amqp091DriverOptions } from './driver.js';
export { driverLimits } from './limits.js';
