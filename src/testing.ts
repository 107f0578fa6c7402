/**
 * Suites of tests that any `ZooKeeper` layer must pass: what the client promises,
 * whatever server is behind it. For those who bring a server, a transport or a
 * decorated client of their own. Needs `@effect/vitest` and `vitest`.
 *
 * @example
 * ```ts
 * import { conformance } from "effect-zookeeper/testing"
 * import { ZooKeeperLive } from "effect-zookeeper/ZooKeeper"
 *
 * // In a file that vitest runs.
 * conformance("my ensemble", ({ chroot = "", ...settings } = {}) =>
 *   ZooKeeperLive({ hosts: `127.0.0.1:2181${chroot}`, ...settings }))
 * ```
 *
 * @since 0.1.0
 */
import type * as Connects from "./testing/Connect.ts"
import * as Operations from "./testing/Operations.ts"
import * as Watches from "./testing/Watches.ts"

/**
 * What a test asks of its client beyond the server: options, and a chroot.
 *
 * @category models
 * @since 0.1.0
 */
export type Settings = Connects.Settings

/**
 * Gives a suite its clients: each layer that it returns is another client of
 * the same server.
 *
 * @category models
 * @since 0.1.0
 */
export type Connect = Connects.Connect

/**
 * Every operation: results, Stats, errors, order, limits, chroots. Wants a
 * server of 3.8 or later with extended types (TTL) and at most one second
 * between its looks at containers; each test keeps to a znode of its own.
 *
 * @example
 * ```ts
 * import { operations, watches } from "effect-zookeeper/testing"
 * import { ZooKeeperLive } from "effect-zookeeper/ZooKeeper"
 *
 * // One by one, in a file that vitest runs.
 * operations("my ensemble", (settings) => ZooKeeperLive({ hosts: "127.0.0.1:2181", ...settings }))
 * watches("my ensemble", (settings) => ZooKeeperLive({ hosts: "127.0.0.1:2181", ...settings }))
 * ```
 *
 * @category suites
 * @since 0.1.0
 */
export const operations: (name: string, connect: Connect) => void = Operations.operations

/**
 * Watches: streams that follow znodes and children, raw events, one-shot
 * watches, their order, and that none is left behind. See {@link operations} for
 * an example.
 *
 * @category suites
 * @since 0.1.0
 */
export const watches: (name: string, connect: Connect) => void = Watches.watches

/**
 * All suites.
 *
 * @category suites
 * @since 0.1.0
 */
export const conformance = (name: string, connect: Connect): void => {
  operations(`${name}: operations`, connect)
  watches(name, connect)
}
