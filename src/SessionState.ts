/**
 * The life of a client, as `ZooKeeper.state` tells it.
 *
 * ```
 * Connecting ──▶ Connected ──▶ Suspended ──▶ Connected      the same session goes on
 *                                  │
 *                                  └──▶ Expired ──▶ Connecting   a new session
 * any state ──▶ AuthFailed | Closed                          for good
 * ```
 *
 * kazoo's three states can be derived: CONNECTED is `Connected`, SUSPENDED is
 * `Suspended`, LOST is `Expired`, `AuthFailed` and `Closed`.
 *
 * @example
 * ```ts
 * import type { SessionState } from "effect-zookeeper/SessionState"
 *
 * export const asKazoo = (state: SessionState): "CONNECTED" | "SUSPENDED" | "LOST" => {
 *   switch (state._tag) {
 *     case "Connected":
 *       return "CONNECTED"
 *     case "Suspended":
 *       return "SUSPENDED"
 *     default:
 *       return "LOST"
 *   }
 * }
 * ```
 *
 * @since 0.1.0
 */
import type * as Effect from "effect/Effect"
import type * as Redacted from "effect/Redacted"
import type { Host } from "./ConnectionString.ts"
import type { ConnectionError } from "./ZooKeeperError.ts"

/**
 * There is no session yet; servers are being tried.
 *
 * @category models
 * @since 0.1.0
 */
export interface Connecting {
  readonly _tag: "Connecting"
}

/**
 * Authenticated, watches armed, serving.
 *
 * @category models
 * @since 0.1.0
 */
export interface Connected {
  readonly _tag: "Connected"
  readonly sessionId: bigint
  /** The server has lost its quorum and serves reads only. */
  readonly readOnly: boolean
}

/**
 * The connection is gone and the session lives on at the servers, as long as a
 * connection is made again before `deadline`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Suspended {
  readonly _tag: "Suspended"
  readonly sessionId: bigint
  /** Since when, in ms since the epoch. */
  readonly since: number
  /** When the session will be given up, in ms since the epoch. */
  readonly deadline: number
}

/**
 * The session is over: a server said so, or its deadline passed.
 *
 * @category models
 * @since 0.1.0
 */
export interface Expired {
  readonly _tag: "Expired"
  readonly sessionId: bigint
}

/**
 * A credential was refused. Final.
 *
 * @category models
 * @since 0.1.0
 */
export interface AuthFailed {
  readonly _tag: "AuthFailed"
}

/**
 * The client is closed. Final.
 *
 * @category models
 * @since 0.1.0
 */
export interface Closed {
  readonly _tag: "Closed"
}

/**
 * The state of a client.
 *
 * @category models
 * @since 0.1.0
 */
export type SessionState = Connecting | Connected | Suspended | Expired | AuthFailed | Closed

/**
 * What resumes a session from elsewhere. Whoever holds it can take the session
 * over or end it.
 *
 * @category models
 * @since 0.1.0
 */
export interface SessionCredentials {
  /** Signed, 64 bits; 0 where there is no session: then a new one is begun. */
  readonly id: bigint
  /** 16 bytes. */
  readonly password: Redacted.Redacted<Uint8Array>
  /** Servers that are behind it are avoided; 0 where it is unknown. */
  readonly lastZxid: bigint
}

/**
 * The session that is connected now.
 *
 * @category models
 * @since 0.1.0
 */
export interface SessionInfo extends SessionCredentials {
  /** As the server granted it, in ms. */
  readonly timeout: number
  /** The server has lost its quorum and serves reads only. */
  readonly readOnly: boolean
  /** The server that serves it. */
  readonly server: Host
  /** Whether this very session is sure to be alive, by the clock alone: no round trip, no event needed. */
  readonly isAlive: Effect.Effect<boolean>
  /** Fails with `SessionExpired`, `AuthFailed` or `Closed` when this very session has ended, however long ago. */
  readonly ended: Effect.Effect<never, ConnectionError>
}

/**
 * A session id or a zxid as servers write it into their logs: unsigned,
 * hexadecimal.
 *
 * @example
 * ```ts
 * import { SessionState } from "effect-zookeeper"
 *
 * SessionState.hexadecimal(-2n) // => "0xfffffffffffffffe"
 * ```
 *
 * @category formatting
 * @since 0.1.0
 */
export const hexadecimal = (value: bigint): string => `0x${BigInt.asUintN(64, value).toString(16)}`
