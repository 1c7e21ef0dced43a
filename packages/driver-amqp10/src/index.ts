export { amqp10Driver } from './driver.js';
export type { Amqp10DriverOptions } from './driver.js';
export { driverLimits } from './limits.js';
export { profiles } from './profiles/profiles.js';
export type { Profile, ProfileName } from './profiles/profile.js';
