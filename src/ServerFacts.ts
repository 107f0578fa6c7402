/**
 * What one server says about itself.
 *
 * @example
 * ```ts
 * import * as Effect from "effect/Effect"
 * import { ZooKeeper } from "effect-zookeeper/ZooKeeper"
 *
 * // Whether this server has persistent watches, and how busy it is.
 * export const program = ZooKeeper.use((zk) =>
 *   Effect.map(zk.serverFacts, ({ latency, version = "0" }) => ({
 *     isNew: version.localeCompare("3.6", "en", { numeric: true }) >= 0,
 *     averageMillis: latency.average
 *   })))
 * ```
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

/**
 * What a server answers to the four-letter word `srvr`.
 *
 * @category models
 * @since 0.1.0
 */
export const ServerFacts = Schema.Struct({
  /** ZooKeeper's version, e.g. `"3.8.0"`; `undefined` if the server is another product, or prints none. */
  version: Schema.UndefinedOr(Schema.String),
  /** Everything the server prints as its version: vendor, revision, date of build. May be mangled. */
  versionText: Schema.String,
  /** `"standalone"`, `"leader"`, `"follower"`, `"observer"`, `"read-only"`, or what a newer server says. */
  mode: Schema.String,
  /** The last transaction that the server has applied. */
  zxid: Schema.BigInt,
  /** Open client connections, the one that asked included. */
  connections: Schema.Finite,
  /** Znodes in the tree, the server's own included. */
  nodeCount: Schema.Finite,
  /** Requests that wait to be processed. */
  outstanding: Schema.Finite,
  /** Packets received since the start or the last reset. */
  received: Schema.Finite,
  /** Packets sent since the start or the last reset. */
  sent: Schema.Finite,
  /** How long requests took, in milliseconds, since the start or the last reset. */
  latency: Schema.Struct({
    min: Schema.Finite,
    average: Schema.Finite,
    max: Schema.Finite
  })
})

/**
 * What a server answers to the four-letter word `srvr`.
 *
 * @category models
 * @since 0.1.0
 */
export type ServerFacts = typeof ServerFacts.Type
