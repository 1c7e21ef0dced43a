import { patternToRegex } from '../access/name-pattern.js';
import { topicPatternToRegex } from '../access/topic-pattern.js';
import { userLimits } from '../access/users.js';
import type { User } from '../access/users.js';
import type { Shown } from './listings.js';

/** Never the hash of a password. */
export function shownUser({ name, tags, limits = {} }: User): Shown {
  return { name, tags, limits };
}

export function permissionsOf(user: User): Shown[] {
  return Object.entries(user.permissions).map(([vhost, { configure, write, read }]) => ({
    user: user.name,
    vhost,
    configure: patternToRegex(configure),
    write: patternToRegex(write),
    read: patternToRegex(read),
  }));
}

export function topicPermissionsOf(user: User): Shown[] {
  return Object.entries(user.topicPermissions).flatMap(([vhost, exchanges]) =>
    Object.entries(exchanges).map(([name, { write, read }]) => ({
      user: user.name,
      vhost,
      exchange: name,
      write: topicPatternToRegex(write),
      read: topicPatternToRegex(read),
    })),
  );
}

export function limitsOf(user: User): Shown[] {
  const { limits = {} } = user;
  const value = Object.fromEntries(
    userLimits.flatMap((limit) => (limits[limit] === undefined ? [] : [[limit, limits[limit]]])),
  );
  return Object.keys(value).length === 0 ? [] : [{ user: user.name, value }];
}
