/**
 * What a client counts, under the names that an exporter shows.
 *
 * Metrics live in the `Metric.MetricRegistry` of the context in which a client
 * was made, and are read there: by `Metric.value`, by `Metric.snapshot`, by
 * Effect's Prometheus and OTLP exporters. Clients that share a registry and
 * `Metric.CurrentMetricAttributes` are counted together; give one attributes of
 * its own to tell it apart. Almost all of them cost nothing until they are
 * read: the client keeps plain numbers, and the registry asks for them.
 *
 * @since 0.1.0
 */
import * as Metric from "effect/Metric"

/**
 * Requests that have ended, by `operation` (the name of the method) and
 * `outcome`: `ok`, `refused` (a typed answer about the znode, such as `NoNode`),
 * `NotApplied` or `Unknown` (a `ConnectionError`).
 *
 * @example
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as Metric from "effect/Metric"
 * import { ZooKeeperMetrics } from "effect-zookeeper"
 *
 * const lost = Metric.withAttributes(ZooKeeperMetrics.requests, { operation: "create", outcome: "Unknown" })
 *
 * // For an alert: creates of which nobody knows whether they were made.
 * export const program = Effect.map(Metric.value(lost), ({ count }) => count > 0)
 * ```
 *
 * @category requests
 * @since 0.1.0
 */
export const requests = Metric.counter("zookeeper.client.requests", {
  description: "Requests that have ended, by operation and outcome",
  incremental: true
})

/**
 * Round trips in seconds, from the write to the answer of its last request: one
 * sample per write while none is outstanding, pings included.
 *
 * @category requests
 * @since 0.1.0
 */
export const roundTrip = Metric.histogram("zookeeper.client.round_trip", {
  description: "Seconds from a write to the answer of its last request",
  boundaries: Metric.exponentialBoundaries({ start: 0.00025, factor: 2, count: 16 })
})

/**
 * Requests that were sent and are not yet answered.
 *
 * @category requests
 * @since 0.1.0
 */
export const inFlight = Metric.gauge("zookeeper.client.in_flight", {
  description: "Requests that were sent and are not yet answered"
})

/**
 * Requests that wait on the client: for a connection, or for a place in the
 * in-flight window.
 *
 * @category requests
 * @since 0.1.0
 */
export const waiting = Metric.gauge("zookeeper.client.waiting", {
  description: "Requests that wait on the client for a connection or a place in the window"
})

/**
 * Clients by the `state` of their session: `Connecting`, `Connected`,
 * `Suspended`, `AuthFailed`. Closed clients are not counted.
 *
 * @example
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as Metric from "effect/Metric"
 * import { ZooKeeper } from "effect-zookeeper/ZooKeeper"
 * import * as ZooKeeperMetrics from "effect-zookeeper/ZooKeeperMetrics"
 *
 * const connected = Metric.withAttributes(ZooKeeperMetrics.sessions, { state: "Connected" })
 *
 * export const program = Effect.gen(function*() {
 *   yield* ZooKeeper
 *   const { value } = yield* Metric.value(connected)
 *   return value > 0 // => true
 * })
 * ```
 *
 * @category sessions
 * @since 0.1.0
 */
export const sessions = Metric.gauge("zookeeper.client.sessions", {
  description: "Clients by the state of their session"
})

/**
 * Connection attempts by `result`: `connected`, `failed`.
 *
 * @category sessions
 * @since 0.1.0
 */
export const connections = Metric.counter("zookeeper.client.connections", {
  description: "Connection attempts by result",
  incremental: true
})

/**
 * Connections that were held and lost: each is followed by a reconnect.
 *
 * @category sessions
 * @since 0.1.0
 */
export const disconnects = Metric.counter("zookeeper.client.disconnects", {
  description: "Connections that were held and lost",
  incremental: true
})

/**
 * Sessions that have expired, by the server's word or by the local deadline.
 *
 * @category sessions
 * @since 0.1.0
 */
export const expirations = Metric.counter("zookeeper.client.expirations", {
  description: "Sessions that have expired",
  incremental: true
})

/**
 * Paths that are watched now.
 *
 * @category watches
 * @since 0.1.0
 */
export const watches = Metric.gauge("zookeeper.client.watches", { description: "Paths that are watched now" })

/**
 * Watch events that came from servers.
 *
 * @category watches
 * @since 0.1.0
 */
export const watchEvents = Metric.counter("zookeeper.client.watch_events", {
  description: "Watch events that came from servers",
  incremental: true
})

/**
 * Packets of watches that were set again after a reconnect.
 *
 * @category watches
 * @since 0.1.0
 */
export const rearmed = Metric.counter("zookeeper.client.rearmed", {
  description: "Packets of watches that were set again after a reconnect",
  incremental: true
})

/**
 * Times that watchers were told of a gap, by `reason`: `Reconnected`, `NewSession`.
 *
 * @category watches
 * @since 0.1.0
 */
export const gaps = Metric.counter("zookeeper.client.gaps", {
  description: "Times that watchers were told of a gap",
  incremental: true
})

/**
 * Seconds that acquisitions of locks, permits and leadership waited, those that
 * succeeded. Guard locks of other recipes are among them.
 *
 * @category grants
 * @since 0.1.0
 */
export const grantWait = Metric.histogram("zookeeper.grant.wait", {
  description: "Seconds that acquisitions of grants waited",
  boundaries: Metric.exponentialBoundaries({ start: 0.001, factor: 4, count: 10 })
})

/**
 * Seconds that grants were held.
 *
 * @category grants
 * @since 0.1.0
 */
export const grantHold = Metric.histogram("zookeeper.grant.hold", {
  description: "Seconds that grants were held",
  boundaries: Metric.exponentialBoundaries({ start: 0.001, factor: 4, count: 10 })
})

/**
 * Grants that have ended, by `reason`: `Released`, or one of those of
 * `GrantLost`, which are worth an alert.
 *
 * @category grants
 * @since 0.1.0
 */
export const grantsEnded = Metric.counter("zookeeper.grant.ended", {
  description: "Grants that have ended, by reason",
  incremental: true
})
