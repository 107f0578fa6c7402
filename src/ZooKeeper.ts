/**
 * The ZooKeeper client: the service, what it can do, and the layers that
 * provide it.
 *
 * Building the layer connects; closing its scope ends the session, and with it
 * the session's ephemeral znodes, on the server. A lost connection is made
 * again by itself, a session that is over is replaced by a new one.
 *
 * @example
 * ```ts
 * import * as Effect from "effect/Effect"
 * import { ZooKeeper, ZooKeeperLive } from "effect-zookeeper/ZooKeeper"
 *
 * const program = Effect.gen(function*() {
 *   const zk = yield* ZooKeeper
 *   const path = yield* zk.create("/greeting", "hello", { mode: "ephemeral" })
 *   const { data, stat } = yield* zk.get(path)
 *   console.log(new TextDecoder().decode(data), stat.version)
 * })
 *
 * export const main = Effect.provide(program, ZooKeeperLive({ hosts: "127.0.0.1:2181" }))
 * ```
 *
 * @since 0.1.0
 */
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import type * as Result from "effect/Result"
import type * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import type * as Socket from "effect/socket/Socket"
import type * as Stream from "effect/Stream"
import * as Acl from "./Acl.ts"
import * as Acquisition from "./client/Acquisition.ts"
import * as Client from "./client/Client.ts"
import * as Membership from "./client/Membership.ts"
import * as NodeTransport from "./client/NodeTransport.ts"
import * as Session from "./client/Session.ts"
import * as ConnectionString from "./ConnectionString.ts"
import type * as EnsembleConfig from "./EnsembleConfig.ts"
import * as RetryPolicy from "./RetryPolicy.ts"
import * as Sasl from "./Sasl.ts"
import type { ServerFacts } from "./ServerFacts.ts"
import type { SessionCredentials, SessionInfo, SessionState } from "./SessionState.ts"
import * as Tls from "./Tls.ts"
import type * as Transaction from "./Transaction.ts"
import type { NodeEvent, WatchEvent } from "./WatchEvent.ts"
import type { Children, Created, CreateOptions, Stat, Znode } from "./Znode.ts"
import * as ZooKeeperConfig from "./ZooKeeperConfig.ts"
import {
  BadArguments,
  type BadVersion,
  type ConnectionError,
  type InvalidAcl,
  type NewConfigNoQuorum,
  type NoAuth,
  type NoChildrenForEphemerals,
  type NodeExists,
  type NoNode,
  type NotEmpty,
  type QuotaExceeded,
  type ReconfigInProgress,
  type TransactionFailed
} from "./ZooKeeperError.ts"

/**
 * Bytes to store; a string is stored as UTF-8.
 *
 * @category models
 * @since 0.1.0
 */
export type Data = Uint8Array | string

/**
 * What every operation on a path can fail with: the path is malformed (nothing
 * was sent), or something happened to the connection.
 *
 * @category errors
 * @since 0.1.0
 */
export type OperationError = BadArguments | ConnectionError

/**
 * What a create can fail with. `NoNode` is about the parent.
 *
 * @category errors
 * @since 0.1.0
 */
export type CreateError =
  | NoNode
  | NodeExists
  | NoAuth
  | InvalidAcl
  | NoChildrenForEphemerals
  | QuotaExceeded
  | OperationError

/**
 * An identity that a server attributes to this connection.
 *
 * @category models
 * @since 0.1.0
 */
export interface Identity {
  /** `"ip"`, `"digest"`, `"x509"`, `"sasl"`, … */
  readonly authScheme: string
  /** Who that is: an address, a user. Of `digest` the user without the hash; empty for the super user. */
  readonly user: string
}

/**
 * A value that was read, and the one event that its watch will tell: of the first
 * change that the value does not show. The event waits across reconnects, and
 * what happened meanwhile is told then.
 *
 * It fails with `SessionExpired` when the session ends, `Closed` or `AuthFailed`
 * when the client does. Closing the scope of the read removes the watch, and the
 * event never comes. Interrupting who awaits it changes nothing. The example is at
 * `getAndWatch`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Watched<A> {
  readonly value: A
  /** Anyone may await it, any number of times. */
  readonly event: Effect.Effect<NodeEvent, ConnectionError>
  /**
   * The same for those who hold many watches: called once, synchronously,
   * before anything that follows the event is handled, and without a fiber that
   * waits. What it throws is an uncaught exception. Returns how to take the
   * observer back.
   */
  readonly observe: (observer: (exit: Exit.Exit<NodeEvent, ConnectionError>) => void) => () => void
}

/**
 * Everything a client can do.
 *
 * **Order.** Requests are executed in the order in which their effects run; a
 * watch event is seen before the result of any request that could show the
 * change.
 *
 * **Disconnected.** Requests wait for a connection until the session's deadline,
 * then fail with `SessionExpired` (with `failFast` they fail at once).
 *
 * **Interruption.** A request that still waits, for a connection or for a place
 * among `maxInFlight`, is withdrawn: it is never sent. One that was handed to the
 * connection is sent and executed all the same, and its answer is dropped.
 * Operations of several requests, which say so, stop between two of them. A
 * stream that is interrupted leaves no watch behind.
 *
 * **Errors.** Those about znodes stand at each operation. Every operation can
 * also fail with `BadArguments`, where a path or another argument is malformed
 * (nothing was sent) or the server says so (special znodes such as
 * `/zookeeper`), and with a `ConnectionError`, by its reason:
 *
 * | reason | when | outcome of a write |
 * | --- | --- | --- |
 * | `ConnectionLoss`, `Protocol`, `Tls` | the connection was lost or made no sense before the answer came | `"Unknown"` |
 * | `ConnectionLoss` | there is no connection, and `failFast` is set | `"NotApplied"` |
 * | `RequestTimeout` | `requestTimeout` has passed without an answer | `"Unknown"` |
 * | `SessionExpired` | the session ended while the request waited; with `onExpiry: "end"` always from then on | `"NotApplied"` |
 * | `TooLarge` | the request exceeds `maxRequestSize` and was not sent | `"NotApplied"` |
 * | `TooLarge` | the reply exceeds `maxReplySize` | `"Unknown"` |
 * | `NotReadOnly` | a write, `sync` or a transaction on a server without quorum | `"NotApplied"` |
 * | `Throttled` | the server was too busy, and still after pauses of about two seconds in all | `"NotApplied"` |
 * | `SessionMoved` | another client has taken the session over | `"NotApplied"` |
 * | `Unimplemented` | the server is too old for the operation, or has it switched off | `"NotApplied"` |
 * | `EphemeralOnLocalSession` | an ephemeral create in a local session that may not be upgraded | `"NotApplied"` |
 * | `ServerError` | any other code of the server | `"NotApplied"` |
 * | `AuthFailed`, `AuthRequired`, `Closed` | the client is of no more use | `"Unknown"` where it was sent, else `"NotApplied"` |
 *
 * Reads are always `"NotApplied"`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Service {
  /**
   * Creates a znode and returns its path, with the sequence suffix where there
   * is one. Data is empty by default, the mode `"persistent"`. One request, but
   * with `makeParents` (first the create; parents where that finds none) and with
   * `protected`, whose lost reply is looked up: behind a `sync`, by its unique
   * name, so that the znode is there exactly once.
   *
   * Fails with `NoNode` where the parent is missing (with `makeParents`: where it
   * vanished again eight times), `NodeExists` where the path is taken or the
   * parent's sequence is exhausted, `NoAuth` where the parent's ACL does not grant
   * `create`, `InvalidAcl` where the server refuses the ACL,
   * `NoChildrenForEphemerals` where the parent is ephemeral, `QuotaExceeded` where
   * a hard quota above is full, and `BadArguments` where path, ACL or TTL are
   * malformed. `Unimplemented`: TTL modes without the server's extended types.
   * With `protected` the outcome is `"Unknown"` only if the session ended before
   * the look-up (an ephemeral znode is gone then), or the parent may not be read.
   *
   * Interrupted, the znode may be created, and made parents stay.
   *
   * Source: ZooKeeper's `create`, `create2`, `createContainer`, `createTTL`;
   * kazoo's `create`; Curator's `withProtection`.
   *
   * @example
   * ```ts
   * import * as Effect from "effect/Effect"
   * import { ZooKeeper } from "effect-zookeeper/ZooKeeper"
   *
   * export const program = Effect.gen(function*() {
   *   const zk = yield* ZooKeeper
   *   yield* zk.create("/config", "{}")
   *   const job = yield* zk.create("/jobs/job-", "payload", { mode: "persistentSequential", makeParents: true })
   *   // Found again if the reply is lost: /_c_<uuid>-worker-0000000002
   *   yield* zk.create("/worker-", "", { mode: "ephemeralSequential", protected: true })
   *   return job // => "/jobs/job-0000000000"
   * })
   * ```
   */
  readonly create: (path: string, data?: Data, options?: CreateOptions) => Effect.Effect<string, CreateError>
  /**
   * `create`, and returns the Stat as well: what to compare later versions with,
   * without a read. ZooKeeper 3.5 and later, else `Unimplemented`.
   *
   * @example
   * ```ts
   * import * as Effect from "effect/Effect"
   * import { ZooKeeper } from "effect-zookeeper/ZooKeeper"
   *
   * export const program = Effect.gen(function*() {
   *   const zk = yield* ZooKeeper
   *   const { path, stat } = yield* zk.createWithStat("/limits", "10")
   *   yield* zk.set(path, "20", stat.version)
   * })
   * ```
   */
  readonly createWithStat: (path: string, data?: Data, options?: CreateOptions) => Effect.Effect<Created, CreateError>
  /**
   * The Stat of a znode; `None` where there is none. Fails with `NoAuth` where the
   * ACL does not grant `read`, on servers from 3.8.4 and 3.9.2 on; earlier ones
   * tell everybody. Source: ZooKeeper's and kazoo's `exists`.
   *
   * @example
   * ```ts
   * import * as Effect from "effect/Effect"
   * import * as Option from "effect/Option"
   * import { ZooKeeper } from "effect-zookeeper/ZooKeeper"
   *
   * export const program = Effect.gen(function*() {
   *   const zk = yield* ZooKeeper
   *   const stat = yield* zk.exists("/config")
   *   return Option.match(stat, { onNone: () => 0, onSome: ({ dataLength }) => dataLength }) // => 0
   * })
   * ```
   */
  readonly exists: (path: string) => Effect.Effect<Option.Option<Stat>, NoAuth | OperationError>
  /**
   * Data and Stat. What is read may be older than what another client was told
   * by another server: `sync` first where that matters.
   *
   * Fails with `NoNode` where there is no znode, `NoAuth` where its ACL does not
   * grant `read`. Source: ZooKeeper's `getData`, kazoo's `get`.
   *
   * @example
   * ```ts
   * import * as Effect from "effect/Effect"
   * import { ZooKeeper } from "effect-zookeeper/ZooKeeper"
   *
   * export const program = Effect.gen(function*() {
   *   const zk = yield* ZooKeeper
   *   const { data, stat } = yield* zk.get("/config")
   *   return { text: new TextDecoder().decode(data), version: stat.version }
   * }).pipe(Effect.catchTag("NoNode", () => Effect.succeed({ text: "{}", version: -1 })))
   * ```
   */
  readonly get: (path: string) => Effect.Effect<Znode, NoNode | NoAuth | OperationError>
  /**
   * Many znodes in the order of `paths`, each read or refused (`NoNode`,
   * `NoAuth`) on its own. Up to 256 go into one request, and those of one reply
   * show one moment; it is halved where the reply would exceed `maxReplySize`, and
   * four such requests run at once. Servers before 3.6 are asked znode by znode.
   * Source: ZooKeeper's `multiRead`.
   *
   * @example
   * ```ts
   * import * as Effect from "effect/Effect"
   * import * as Result from "effect/Result"
   * import { ZooKeeper } from "effect-zookeeper/ZooKeeper"
   *
   * export const program = Effect.gen(function*() {
   *   const zk = yield* ZooKeeper
   *   yield* zk.ensurePath("/a")
   *   const reads = yield* zk.getMany(["/a", "/b"])
   *   return reads.map(Result.isSuccess) // => [true, false]
   * })
   * ```
   */
  readonly getMany: (
    paths: ReadonlyArray<string>
  ) => Effect.Effect<ReadonlyArray<Result.Result<Znode, NoNode | NoAuth>>, OperationError>
  /**
   * Names of the children, in no particular order. Fails with `NoNode` where
   * there is no znode, `NoAuth` where its ACL does not grant `read`. Source:
   * ZooKeeper's `getChildren`, kazoo's `get_children`.
   *
   * @example
   * ```ts
   * import * as Effect from "effect/Effect"
   * import * as ZnodePath from "effect-zookeeper/ZnodePath"
   * import { ZooKeeper } from "effect-zookeeper/ZooKeeper"
   *
   * export const program = Effect.gen(function*() {
   *   const zk = yield* ZooKeeper
   *   const names = yield* zk.getChildren("/")
   *   return names.toSorted().map((name) => ZnodePath.join("/", name)) // => ["/zookeeper"]
   * })
   * ```
   */
  readonly getChildren: (path: string) => Effect.Effect<ReadonlyArray<string>, NoNode | NoAuth | OperationError>
  /**
   * Names of the children and the Stat of the parent, of one moment. Fails like
   * `getChildren`. Source: ZooKeeper's `getChildren2`, kazoo's `get_children` with
   * `include_data`.
   *
   * @example
   * ```ts
   * import * as Effect from "effect/Effect"
   * import { ZooKeeper } from "effect-zookeeper/ZooKeeper"
   *
   * export const program = Effect.gen(function*() {
   *   const zk = yield* ZooKeeper
   *   const { children, stat } = yield* zk.getChildrenWithStat("/")
   *   return children.length === stat.numChildren // => true
   * })
   * ```
   */
  readonly getChildrenWithStat: (path: string) => Effect.Effect<Children, NoNode | NoAuth | OperationError>
  /**
   * Replaces the data, of the given version or (-1, the default) of any, and
   * returns the new Stat. Data that is the same raises the version and fires
   * watches, too.
   *
   * Fails with `NoNode` where there is no znode, `NoAuth` where its ACL does not
   * grant `write`, `BadVersion` where `version` is not the current one,
   * `QuotaExceeded` where a hard quota above is full, `BadArguments` also where
   * `version` is not an int32. Source: ZooKeeper's `setData`, kazoo's `set`.
   *
   * @example
   * ```ts
   * import * as Effect from "effect/Effect"
   * import { ZooKeeper } from "effect-zookeeper/ZooKeeper"
   *
   * export const program = Effect.gen(function*() {
   *   const zk = yield* ZooKeeper
   *   yield* zk.create("/leader", "alice")
   *   const { stat } = yield* zk.get("/leader")
   *   const { version } = yield* zk.set("/leader", "bob", stat.version)
   *   return version // => 1
   * }).pipe(Effect.catchTag("BadVersion", () => Effect.logInfo("somebody was faster")))
   * ```
   */
  readonly set: (
    path: string,
    data: Data,
    version?: number
  ) => Effect.Effect<Stat, NoNode | NoAuth | BadVersion | QuotaExceeded | OperationError>
  /**
   * Reads, computes and writes until nobody was faster, and returns what was
   * written with its Stat. `f` runs once per try; what it fails with is passed
   * on, and nothing is written then.
   *
   * A write whose reply was lost is looked up, behind a `sync`, by its version
   * and data, so that it is never made twice; where that cannot be decided the
   * `ConnectionError` with outcome `"Unknown"` is passed on. Fails with `NoNode`,
   * `NoAuth` and `QuotaExceeded` like `get` and `set`.
   *
   * Interrupted, the write that is under way may be applied. Source: the loop
   * around kazoo's `set`, Curator's `DistributedAtomicValue`.
   *
   * @example
   * ```ts
   * import * as Effect from "effect/Effect"
   * import { ZooKeeper } from "effect-zookeeper/ZooKeeper"
   *
   * export const program = Effect.gen(function*() {
   *   const zk = yield* ZooKeeper
   *   yield* zk.create("/visits", "0")
   *   const { stat } = yield* zk.update("/visits", (data) => `${Number(new TextDecoder().decode(data)) + 1}`)
   *   return stat.version // => 1
   * })
   * ```
   */
  readonly update: <E = never, R = never>(
    path: string,
    f: (data: Uint8Array, stat: Stat) => Data | Effect.Effect<Data, E, R>
  ) => Effect.Effect<Znode, E | NoNode | NoAuth | QuotaExceeded | OperationError, R>
  /**
   * Deletes a znode, of the given version or (-1, the default) of any.
   *
   * Fails with `NoNode` where there is no znode, `NoAuth` where the ACL of its
   * parent does not grant `delete`, `BadVersion` where `version` is not the
   * current one, `NotEmpty` where it has children, and `BadArguments` also for the
   * server's own znodes. Source: ZooKeeper's and kazoo's `delete`.
   *
   * @example
   * ```ts
   * import * as Effect from "effect/Effect"
   * import { ZooKeeper } from "effect-zookeeper/ZooKeeper"
   *
   * export const program = Effect.gen(function*() {
   *   const zk = yield* ZooKeeper
   *   yield* zk.create("/done")
   *   yield* zk.delete("/done")
   *   yield* Effect.catchTag(zk.delete("/done"), "NoNode", () => Effect.void)
   * })
   * ```
   */
  readonly delete: (
    path: string,
    version?: number
  ) => Effect.Effect<void, NoNode | NoAuth | BadVersion | NotEmpty | OperationError>
  /**
   * Deletes a znode and all below it, children first, 64 of each znode at a time.
   * Not atomic: interruption or failure leaves what was not yet deleted. What
   * others delete meanwhile is fine.
   *
   * Fails with `NoNode` where there was no such znode at the start, `NoAuth` where
   * a znode may not be read or deleted, `NotEmpty` where others keep adding
   * children, and `BadArguments` for the server's root. Under a chroot `/` is the
   * chroot's own znode, which is deleted like any other. Source: kazoo's
   * `delete(recursive=True)`, Java's `ZKUtil.deleteRecursive`.
   *
   * @example
   * ```ts
   * import * as Effect from "effect/Effect"
   * import { ZooKeeper } from "effect-zookeeper/ZooKeeper"
   *
   * export const program = Effect.gen(function*() {
   *   const zk = yield* ZooKeeper
   *   yield* zk.ensurePath("/app/old/data")
   *   const below = yield* zk.countDescendants("/app")
   *   yield* zk.deleteRecursive("/app")
   *   return below // => 2
   * })
   * ```
   */
  readonly deleteRecursive: (path: string) => Effect.Effect<void, NoNode | NoAuth | NotEmpty | OperationError>
  /**
   * Creates what is missing of a path, persistent and empty, with this ACL or
   * `defaultAcl`; one request where it is there already. Making sure twice is as
   * good as once: a lost reply is asked again, never passed on.
   *
   * Under a chroot `/` is the chroot's own znode: `ensurePath("/")` creates it,
   * and fails with `NoNode` where its parents are missing. Else fails like
   * `create` without `NodeExists`. Interrupted, the upper part may be there.
   * Source: kazoo's `ensure_path`, Curator's `creatingParentsIfNeeded`.
   *
   * @example
   * ```ts
   * import * as Effect from "effect/Effect"
   * import { ZooKeeper } from "effect-zookeeper/ZooKeeper"
   *
   * export const program = Effect.gen(function*() {
   *   const zk = yield* ZooKeeper
   *   yield* zk.ensurePath("/app/locks")
   *   yield* zk.create("/app/locks/a", "", { mode: "ephemeral" })
   * })
   * ```
   */
  readonly ensurePath: (
    path: string,
    acl?: ReadonlyArray<Acl.Acl>
  ) => Effect.Effect<void, Exclude<CreateError, NodeExists>>
  /**
   * The ACL and the Stat. Hashes of digest ids are hidden (`user:x`) from whom the
   * ACL grants `read` but not `admin`: see `Acl.isMasked`. Fails with `NoNode`
   * where there is no znode, `NoAuth` where neither is granted. Source:
   * ZooKeeper's `getACL`, kazoo's `get_acls`.
   *
   * @example
   * ```ts
   * import * as Effect from "effect/Effect"
   * import * as Acl from "effect-zookeeper/Acl"
   * import { ZooKeeper } from "effect-zookeeper/ZooKeeper"
   *
   * export const program = Effect.gen(function*() {
   *   const zk = yield* ZooKeeper
   *   yield* zk.create("/open")
   *   const { acl, stat } = yield* zk.getAcl("/open")
   *   yield* zk.setAcl("/open", [...acl, Acl.ip("10.0.0.0/8", ["read"])], stat.aversion)
   * })
   * ```
   */
  readonly getAcl: (
    path: string
  ) => Effect.Effect<
    { readonly acl: ReadonlyArray<Acl.Acl>; readonly stat: Stat },
    NoNode | NoAuth | OperationError
  >
  /**
   * Replaces the ACL, of the given ACL version (`stat.aversion`) or (-1, the
   * default) of any, and returns the Stat. That of the children stays.
   *
   * Fails with `NoNode` where there is no znode, `NoAuth` where the ACL does not
   * grant `admin`, `BadVersion` where `version` is not the current one,
   * `InvalidAcl` where the server refuses the list, and `BadArguments` where
   * `Acl.problemOf` does: an empty list, a hash that was hidden. Source:
   * ZooKeeper's `setACL`, kazoo's `set_acls`. See `getAcl` for an example.
   */
  readonly setAcl: (
    path: string,
    acl: ReadonlyArray<Acl.Acl>,
    version?: number
  ) => Effect.Effect<Stat, NoNode | NoAuth | BadVersion | InvalidAcl | OperationError>
  /**
   * Makes the connected server catch up with the leader: reads behind it see at
   * least that state, without waiting for the answer here. The znode need not
   * exist, and no permission is needed. Fails with `NotReadOnly` on a server
   * without quorum. Source: ZooKeeper's and kazoo's `sync`.
   *
   * @example
   * ```ts
   * import * as Effect from "effect/Effect"
   * import { ZooKeeper } from "effect-zookeeper/ZooKeeper"
   *
   * export const latest = (path: string) =>
   *   ZooKeeper.use((zk) => Effect.andThen(zk.sync(path), zk.get(path)))
   * ```
   */
  readonly sync: (path: string) => Effect.Effect<void, OperationError>
  /**
   * Paths of the ephemeral znodes of this session at or below a path (`/` by
   * default), in no particular order; none where there is no znode. ZooKeeper 3.6
   * and later, else `Unimplemented`. Source: ZooKeeper's `getEphemerals`, which
   * compares plain prefixes; here `/a` does not find `/ab`.
   *
   * @example
   * ```ts
   * import * as Effect from "effect/Effect"
   * import { ZooKeeper } from "effect-zookeeper/ZooKeeper"
   *
   * export const program = Effect.gen(function*() {
   *   const zk = yield* ZooKeeper
   *   yield* zk.create("/mine", "", { mode: "ephemeral" })
   *   return yield* zk.getEphemerals() // => ["/mine"]
   * })
   * ```
   */
  readonly getEphemerals: (path?: string) => Effect.Effect<ReadonlyArray<string>, OperationError>
  /**
   * How many znodes there are below a path, at every depth; for `/` also the
   * server's own. Fails with `NoNode` where there is no znode, `NoAuth` where it
   * may not be read. ZooKeeper 3.6 and later, else `Unimplemented`. Source:
   * ZooKeeper's `getAllChildrenNumber`. See `deleteRecursive` for an example.
   */
  readonly countDescendants: (path: string) => Effect.Effect<number, NoNode | NoAuth | OperationError>
  /**
   * The identities of this connection, its address (`ip`) included, in no
   * particular order. ZooKeeper 3.7 and later, else `Unimplemented`. Source:
   * ZooKeeper's `whoAmI`. See `addAuth` for an example.
   */
  readonly whoAmI: Effect.Effect<ReadonlyArray<Identity>, ConnectionError>
  /**
   * Adds an identity to this and all later connections, and completes when the
   * server has accepted it; while disconnected, with the next connection. Whatever
   * is asked afterwards is asked with it.
   *
   * An identity of an unknown scheme, or one that the scheme refuses, fails with
   * `AuthFailed` and makes the client unusable, as in every ZooKeeper client.
   * `digest` accepts any password: a wrong one shows as `NoAuth` later. Interrupted
   * or failed with `ConnectionLoss`, the identity stays added. Source: ZooKeeper's
   * `addAuthInfo`, kazoo's `add_auth`.
   *
   * @example
   * ```ts
   * import * as Effect from "effect/Effect"
   * import * as Redacted from "effect/Redacted"
   * import { ZooKeeper } from "effect-zookeeper/ZooKeeper"
   *
   * export const program = Effect.gen(function*() {
   *   const zk = yield* ZooKeeper
   *   yield* zk.addAuth("digest", Redacted.make("alice:secret"))
   *   const identities = yield* zk.whoAmI
   *   return identities.some(({ authScheme, user }) => authScheme === "digest" && user === "alice") // => true
   * })
   * ```
   */
  readonly addAuth: (
    scheme: string,
    credential: Redacted.Redacted<string> | string
  ) => Effect.Effect<void, ConnectionError>
  /**
   * All or nothing, in one transaction of the server; later operations see what
   * earlier ones did. Results are typed by position: the path of a create, the
   * Stat of a set. None at all succeeds without asking.
   *
   * Fails with `TransactionFailed`, which names the culprit by `index` and `path`
   * and whose `error` is what that operation would fail with alone; nothing was
   * applied then. `BadArguments` where an operation is malformed (nothing was
   * sent), `TooLarge` where all together exceed `maxRequestSize`. Source:
   * ZooKeeper's `multi`, kazoo's `transaction().commit()`.
   *
   * @example
   * ```ts
   * import * as Effect from "effect/Effect"
   * import * as Transaction from "effect-zookeeper/Transaction"
   * import { ZooKeeper } from "effect-zookeeper/ZooKeeper"
   *
   * export const program = Effect.gen(function*() {
   *   const zk = yield* ZooKeeper
   *   const [path, stat] = yield* zk.transaction([
   *     Transaction.create("/order", "new"),
   *     Transaction.set("/order", "paid", 0)
   *   ])
   *   return { path, version: stat.version } // => { path: "/order", version: 1 }
   * }).pipe(Effect.catchTag("TransactionFailed", ({ error, index }) => Effect.logWarning(index, error.message)))
   * ```
   */
  readonly transaction: <const Operations extends ReadonlyArray<Transaction.Operation>>(
    operations: Operations
  ) => Effect.Effect<Transaction.Results<Operations>, TransactionFailed | OperationError>

  /**
   * The znode now, then whenever it has changed; `None` while it is not there.
   * Each element is newer than the one before. States between two reads may be
   * left out, the last never is. Goes on over cuts and new sessions.
   *
   * Fails with `NoAuth` where the znode may not be read, and with a
   * `ConnectionError` only where waiting is of no use: client closed, identity
   * refused, expired under `onExpiry: "end"`, data above `maxReplySize`. One
   * persistent watch, and one read per change; servers before 3.6 are asked for
   * one-shot watches. Source: kazoo's `DataWatch`.
   *
   * @example
   * ```ts
   * import * as Effect from "effect/Effect"
   * import * as Option from "effect/Option"
   * import * as Stream from "effect/Stream"
   * import { ZooKeeper } from "effect-zookeeper/ZooKeeper"
   *
   * export const followed = ZooKeeper.use((zk) =>
   *   Stream.runForEach(zk.changes("/config"), Option.match({
   *     onNone: () => Effect.logInfo("no configuration"),
   *     onSome: ({ data }) => Effect.logInfo(new TextDecoder().decode(data))
   *   })))
   * ```
   */
  readonly changes: (path: string) => Stream.Stream<Option.Option<Znode>, NoAuth | OperationError>
  /**
   * The children now, then whenever one was created or deleted; `None` while the
   * znode is not there. Promises and errors are those of `changes`. Source:
   * kazoo's `ChildrenWatch`.
   *
   * @example
   * ```ts
   * import * as Effect from "effect/Effect"
   * import * as Option from "effect/Option"
   * import * as Stream from "effect/Stream"
   * import { ZooKeeper } from "effect-zookeeper/ZooKeeper"
   *
   * export const program = Effect.gen(function*() {
   *   const zk = yield* ZooKeeper
   *   const two = zk.childrenChanges("/workers").pipe(
   *     Stream.filter((state) => Option.isSome(state) && state.value.children.length >= 2),
   *     Stream.runHead
   *   )
   *   const work = Effect.andThen(
   *     zk.create("/workers/1", "", { makeParents: true }),
   *     zk.create("/workers/2")
   *   )
   *   yield* Effect.all([two, work], { concurrency: "unbounded" })
   * })
   * ```
   */
  readonly childrenChanges: (path: string) => Stream.Stream<Option.Option<Children>, NoAuth | OperationError>
  /**
   * Every event of a znode (and with `"recursive"` of all below it, except
   * `NodeChildrenChanged`), in the order of the server; the znode need not exist.
   * A `Gap` stands wherever some may be missing: after a cut, in a new session,
   * where 16384 events wait for a slow consumer, and behind each event of a server
   * before 3.6, whose watches fire once. What this client asks after the stream
   * began is seen.
   *
   * What the connection's identities may not read is not told. Fails with
   * `Unimplemented` where `"recursive"` meets a server before 3.6, and with a
   * `ConnectionError` where there will be no other session. Source: ZooKeeper's
   * `addWatch`; kazoo has none.
   *
   * @example
   * ```ts
   * import * as Effect from "effect/Effect"
   * import * as Stream from "effect/Stream"
   * import { ZooKeeper } from "effect-zookeeper/ZooKeeper"
   *
   * export const audited = ZooKeeper.use((zk) =>
   *   Stream.runForEach(zk.watch("/app", "recursive"), (event) =>
   *     event._tag === "Gap"
   *       ? Effect.logWarning(`events may be missing: ${event.reason}`)
   *       : Effect.logInfo(event._tag, event.path)))
   * ```
   */
  readonly watch: (
    path: string,
    mode?: "persistent" | "recursive"
  ) => Stream.Stream<WatchEvent, OperationError>
  /**
   * `exists` with a one-shot watch, in one request: its event is the creation,
   * change or deletion that follows the value. The watch is the scope's: it is
   * removed with it. Interrupted before its value is there, it leaves no watch.
   * Errors of the request are those of `exists`; the event's stand at
   * {@link Watched}. Source: ZooKeeper's `exists` with `watch`, kazoo's too.
   *
   * @example
   * ```ts
   * import * as Effect from "effect/Effect"
   * import * as Option from "effect/Option"
   * import { ZooKeeper } from "effect-zookeeper/ZooKeeper"
   *
   * export const gone = (path: string) =>
   *   Effect.scoped(ZooKeeper.use((zk) =>
   *     Effect.flatMap(zk.existsAndWatch(path), ({ event, value }) => Option.isNone(value) ? Effect.void : event)))
   * ```
   */
  readonly existsAndWatch: (
    path: string
  ) => Effect.Effect<Watched<Option.Option<Stat>>, NoAuth | OperationError, Scope.Scope>
  /**
   * `get` with a one-shot watch: its event is the change or deletion that follows
   * the value. A missing znode is not watched. Else like `existsAndWatch`. Source:
   * ZooKeeper's `getData` with `watch`.
   *
   * @example
   * ```ts
   * import * as Effect from "effect/Effect"
   * import { ZooKeeper } from "effect-zookeeper/ZooKeeper"
   *
   * export const program = Effect.scoped(Effect.gen(function*() {
   *   const zk = yield* ZooKeeper
   *   yield* zk.create("/config", "1")
   *   const { event, value } = yield* zk.getAndWatch("/config")
   *   yield* zk.set("/config", "2", value.stat.version)
   *   return yield* event // => { _tag: "NodeDataChanged", path: "/config" }
   * }))
   * ```
   */
  readonly getAndWatch: (
    path: string
  ) => Effect.Effect<Watched<Znode>, NoNode | NoAuth | OperationError, Scope.Scope>
  /**
   * `getChildrenWithStat` with a one-shot watch: its event is the next child
   * created or deleted, or the deletion of the znode. Else like `getAndWatch`.
   * Source: ZooKeeper's `getChildren` with `watch`.
   *
   * @example
   * ```ts
   * import * as Effect from "effect/Effect"
   * import { ZooKeeper } from "effect-zookeeper/ZooKeeper"
   *
   * export const program = Effect.scoped(Effect.gen(function*() {
   *   const zk = yield* ZooKeeper
   *   yield* zk.create("/queue")
   *   const { event, value } = yield* zk.getChildrenAndWatch("/queue")
   *   if (value.children.length === 0) yield* zk.create("/queue/item")
   *   return yield* event // => { _tag: "NodeChildrenChanged", path: "/queue" }
   * }))
   * ```
   */
  readonly getChildrenAndWatch: (
    path: string
  ) => Effect.Effect<Watched<Children>, NoNode | NoAuth | OperationError, Scope.Scope>

  /** The state now. Source: kazoo's `client_state`. See `states` for an example. */
  readonly state: Effect.Effect<SessionState>
  /**
   * The state now, then every later one; none is left out. The last one is
   * `Closed`, `AuthFailed` or, with `onExpiry: "end"`, `Expired`; the stream itself
   * does not end. Source: kazoo's `add_listener`.
   *
   * @example
   * ```ts
   * import * as Effect from "effect/Effect"
   * import * as Stream from "effect/Stream"
   * import { ZooKeeper } from "effect-zookeeper/ZooKeeper"
   *
   * export const isReady = ZooKeeper.use((zk) => Effect.map(zk.state, ({ _tag }) => _tag === "Connected"))
   *
   * export const logged = ZooKeeper.use((zk) =>
   *   Stream.runForEach(zk.states, (state) => Effect.logInfo(state._tag)))
   * ```
   */
  readonly states: Stream.Stream<SessionState>
  /**
   * Completes when there is no connection: at once, or when the one there is has
   * been lost. `state` says then what it is about: `Suspended`, or the end of the
   * session.
   *
   * @example
   * ```ts
   * import * as Effect from "effect/Effect"
   * import { ZooKeeper } from "effect-zookeeper/ZooKeeper"
   *
   * export const warned = ZooKeeper.use((zk) =>
   *   Effect.andThen(zk.disconnected, Effect.logWarning("what is read from caches may be old")))
   * ```
   */
  readonly disconnected: Effect.Effect<void>
  /**
   * The session that is connected now: its id, what the server granted, and who
   * serves it. Waits for a connection, `failFast` or not. Fails with the
   * reason where there will never be one: `Closed`, `AuthFailed`, `AuthRequired`,
   * or `SessionExpired` under `onExpiry: "end"`.
   *
   * @example
   * ```ts
   * import * as Effect from "effect/Effect"
   * import { ZooKeeper } from "effect-zookeeper/ZooKeeper"
   *
   * // Whether this very session still owns what it created, by the clock alone.
   * export const program = Effect.gen(function*() {
   *   const zk = yield* ZooKeeper
   *   const session = yield* zk.session
   *   const { stat } = yield* zk.createWithStat("/mine", "", { mode: "ephemeral" })
   *   return stat.ephemeralOwner === session.id && (yield* session.isAlive) // => true
   * })
   * ```
   */
  readonly session: Effect.Effect<SessionInfo, ConnectionError>
  /**
   * Whether the session is sure to be alive, by the clock alone: no round trip,
   * no event needed. False from nine tenths of the session timeout after the
   * newest answered request on, also after the process has slept until then.
   *
   * @example
   * ```ts
   * import * as Effect from "effect/Effect"
   * import { ZooKeeper } from "effect-zookeeper/ZooKeeper"
   *
   * export const whileAlive = <A, E, R>(step: Effect.Effect<A, E, R>) =>
   *   ZooKeeper.use((zk) => Effect.flatMap(zk.isAlive, (alive) => alive ? Effect.asSome(step) : Effect.succeedNone))
   * ```
   */
  readonly isAlive: Effect.Effect<boolean>
  /**
   * Waits for the end of the session that is current when it is asked, and fails
   * with the reason: `SessionExpired`, `AuthFailed`, `AuthRequired` or `Closed`.
   *
   * @example
   * ```ts
   * import * as Effect from "effect/Effect"
   * import { ZooKeeper } from "effect-zookeeper/ZooKeeper"
   *
   * // Work that makes sense in one session only.
   * export const within = <A, E, R>(work: Effect.Effect<A, E, R>) =>
   *   ZooKeeper.use((zk) => Effect.raceFirst(work, zk.sessionEnd))
   * ```
   */
  readonly sessionEnd: Effect.Effect<never, ConnectionError>
  /**
   * Closes the client, leaves the session alive and returns what resumes it
   * elsewhere, with the option `resume`, within the session timeout. What is
   * pending fails with `Closed`. Where there is no session at the moment, its `id`
   * is 0, and resuming it begins a new one. Not interruptible once it has begun.
   * Fails where the client was of no more use already. Source: the session id and
   * password of ZooKeeper's constructor, kazoo's `client_id`.
   *
   * @example
   * ```ts
   * import * as Effect from "effect/Effect"
   * import * as ZooKeeper from "effect-zookeeper/ZooKeeper"
   *
   * export const handedOver = Effect.gen(function*() {
   *   const zk = yield* ZooKeeper.ZooKeeper
   *   const resume = yield* zk.detach
   *   return yield* ZooKeeper.make({ hosts: "zk1.example", resume })
   * })
   * ```
   */
  readonly detach: Effect.Effect<SessionCredentials, ConnectionError>
  /**
   * What the connected server says about itself (the four-letter word `srvr`),
   * over a connection of its own, within 5 seconds. Waits for a connection like
   * `session`, and fails like it; and with `RequestTimeout`, `ConnectionLoss`
   * where it does not answer or serves no requests, `Unimplemented` where `srvr` is
   * not in its `4lw.commands.whitelist`, `Protocol` where it says something else.
   * Source: kazoo's `command(b"srvr")`, `server_version()`.
   *
   * @example
   * ```ts
   * import * as Effect from "effect/Effect"
   * import { ZooKeeper } from "effect-zookeeper/ZooKeeper"
   *
   * export const program = ZooKeeper.use((zk) =>
   *   Effect.map(zk.serverFacts, ({ mode, version }) => `${mode} ${version ?? "of unknown version"}`))
   * ```
   */
  readonly serverFacts: Effect.Effect<ServerFacts, ConnectionError>
  /**
   * Who belongs to the ensemble, as `/zookeeper/config` says; no chroot applies.
   * Fails with `NoNode` before ZooKeeper 3.5, `NoAuth` where it may not be read,
   * `Protocol` where it cannot be understood. Source: ZooKeeper's `getConfig`. See
   * `EnsembleConfig` for an example of `config` and `reconfig`.
   */
  readonly config: Effect.Effect<EnsembleConfig.EnsembleConfig, NoNode | NoAuth | OperationError>
  /**
   * Who belongs to the ensemble now, then after every change; nothing where there
   * is no configuration. Promises and errors are those of `changes`.
   *
   * @example
   * ```ts
   * import * as Effect from "effect/Effect"
   * import * as Stream from "effect/Stream"
   * import { ZooKeeper } from "effect-zookeeper/ZooKeeper"
   *
   * export const sized = ZooKeeper.use((zk) =>
   *   Stream.runForEach(zk.configChanges, ({ members }) => Effect.logInfo(`${members.length} members`)))
   * ```
   */
  readonly configChanges: Stream.Stream<EnsembleConfig.EnsembleConfig, NoAuth | OperationError>
  /**
   * Changes who belongs to the ensemble, and returns the configuration that is
   * valid then. ZooKeeper 3.5 and later.
   *
   * Fails with `NoAuth` where `/zookeeper/config` may not be written (by default
   * by the super user only), `BadVersion` where `version` is not the current one,
   * `ReconfigInProgress` while another change is made, `NewConfigNoQuorum` where
   * too few of the new members are connected and in sync, `BadArguments` where a
   * member is malformed or unknown, or nothing would change. A standalone server,
   * and one without `reconfigEnabled`, answer `Unimplemented`. With outcome
   * `"Unknown"`, or interrupted, it may be made: compare `config`. Source:
   * ZooKeeper's and kazoo's `reconfig`.
   */
  readonly reconfig: (
    change: EnsembleConfig.Change
  ) => Effect.Effect<
    EnsembleConfig.EnsembleConfig,
    NoAuth | BadVersion | ReconfigInProgress | NewConfigNoQuorum | OperationError
  >
  /**
   * Goes on with other servers. The session survives; by the odds that give all
   * servers their share of clients, and move no more of them than that needs, the
   * connection is made anew to another one. Completes when that is decided and
   * the old connection is given up, which waits for answers for a second at most
   * and is not interruptible.
   *
   * Fails with `BadArguments` where the list is malformed, a `dns-srv://` name, or
   * has another chroot: that cannot be changed. Source: ZooKeeper's
   * `updateServerList`, kazoo's `set_hosts`.
   *
   * @example
   * ```ts
   * import { ZooKeeper } from "effect-zookeeper/ZooKeeper"
   *
   * export const moved = ZooKeeper.use((zk) => zk.updateHosts(["zk4.example", "zk5.example", "zk6.example"]))
   * ```
   */
  readonly updateHosts: (hosts: string | ReadonlyArray<string>) => Effect.Effect<void, BadArguments>
  /**
   * The prefix that is put before all paths; `""` for none. It is not created.
   * Source: kazoo's `chroot`.
   *
   * @example
   * ```ts
   * import * as ZnodePath from "effect-zookeeper/ZnodePath"
   * import { ZooKeeper } from "effect-zookeeper/ZooKeeper"
   *
   * // What other clients, with another chroot or none, call it.
   * export const absolute = (path: string) =>
   *   ZooKeeper.useSync((zk) => ZnodePath.withChroot(zk.chroot, path))
   * ```
   */
  readonly chroot: string
}

/**
 * The service tag of the client.
 *
 * @example
 * ```ts
 * import { ZooKeeper } from "effect-zookeeper/ZooKeeper"
 *
 * // `yield* ZooKeeper` in a generator, or where one call is all:
 * export const program = ZooKeeper.use((zk) => zk.ensurePath("/app"))
 * ```
 *
 * @category services
 * @since 0.1.0
 */
export class ZooKeeper extends Context.Service<ZooKeeper, Service>()("effect-zookeeper/ZooKeeper") {}

/**
 * Options of the client. Durations are Effect's, a plain number is milliseconds,
 * and go from 1 ms to 2147483647 ms; sizes are bytes. What is malformed is
 * `BadArguments` that names the option, before anything is dialled.
 *
 * @example
 * ```ts
 * import * as Redacted from "effect/Redacted"
 * import * as Acl from "effect-zookeeper/Acl"
 * import type { Options } from "effect-zookeeper/ZooKeeper"
 *
 * export const options: Options = {
 *   hosts: "zk1.example,zk2.example,zk3.example/app",
 *   sessionTimeout: "20 seconds",
 *   auth: [{ scheme: "digest", credential: Redacted.make("alice:secret") }],
 *   defaultAcl: Acl.creatorAll,
 *   onExpiry: "end"
 * }
 * ```
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /**
   * `host[:port],…[/chroot]`. Port 2181 by default, IPv6 in brackets. Names are
   * resolved at every attempt; of one with many addresses all are tried. Or
   * `dns-srv://name[/chroot]`: the servers are those of the SRV records, which are
   * looked up again every minute, and every 2 seconds while none serves us. The
   * order is shuffled once, then round-robin. A chroot is not created:
   * `ensurePath("/")` does that.
   */
  readonly hosts: string | ReadonlyArray<string>
  /**
   * Asked of the server, which clamps it (by default to 2 to 20 of its ticks):
   * `session` says what was granted. A silence of two thirds of it costs the
   * connection, one of nine tenths the session. @default "10 seconds"
   */
  readonly sessionTimeout?: Duration.Input | undefined
  /** How long building the layer may take; then it fails with `Unreachable`. @default "15 seconds" */
  readonly connectTimeout?: Duration.Input | undefined
  /**
   * How long closing may take, whatever the state; where the server could not be
   * told, the session ends with its timeout. @default "5 seconds"
   */
  readonly closeTimeout?: Duration.Input | undefined
  /**
   * Bound for one answer, from the write on. Beyond it the request fails with
   * `RequestTimeout` and the connection is dropped, since answers come in order:
   * what is in flight behind it fails, too. @default none
   */
  readonly requestTimeout?: Duration.Input | undefined
  /**
   * Pauses between rounds over all servers; one that ends is begun anew. No pause
   * is longer than a third of the session timeout while there is a session to
   * save. @default RetryPolicy.connection: 100 ms doubling up to 5 s
   */
  readonly reconnect?: Schedule.Schedule<unknown> | undefined
  /**
   * Identities for every connection, sent before anything else. `credential` of
   * scheme `digest` is `user:password`. One that is refused makes the client
   * unusable: `AuthFailed`. @default none
   */
  readonly auth?:
    | ReadonlyArray<{ readonly scheme: string; readonly credential: Redacted.Redacted<string> | string }>
    | undefined
  /** ACL of created znodes where none is given. @default Acl.openUnsafe: everyone may do everything */
  readonly defaultAcl?: ReadonlyArray<Acl.Acl> | undefined
  /**
   * Whether a server without quorum is welcome for reads, which may be old. Writes
   * fail with `NotReadOnly` there, while a server with quorum is searched.
   * @default false
   */
  readonly readOnly?: boolean | undefined
  /** Requests fail at once with `ConnectionLoss` while disconnected, instead of waiting. @default false */
  readonly failFast?: boolean | undefined
  /**
   * After expiry: open a new session, or be unusable from then on, every request
   * failing with `SessionExpired`. @default "renew"
   */
  readonly onExpiry?: "renew" | "end" | undefined
  /**
   * A session to go on with, as `detach` returned it. Where it is over, a new one
   * is begun (or not: `onExpiry`). @default none: a new session
   */
  readonly resume?: SessionCredentials | undefined
  /**
   * Largest request in bytes, 1024 at least: the servers' `jute.maxbuffer`. A
   * larger one fails alone with `TooLarge`, unsent. @default 1048575
   */
  readonly maxRequestSize?: number | undefined
  /**
   * Largest reply in bytes, 1024 at least; a larger one is skipped, and its request
   * alone fails with `TooLarge`. @default 4194304
   */
  readonly maxReplySize?: number | undefined
  /** Requests that may await their answers; more wait on the client. @default 10000 */
  readonly maxInFlight?: number | undefined
  /** TLS to the servers, on their secure ports; `true` trusts what Node trusts. See `Tls`. @default false */
  readonly tls?: boolean | Tls.Options | undefined
  /** How to authenticate before anything else is sent: `Sasl.digestMd5`. @default the service `SaslMechanism`, if any */
  readonly sasl?: Sasl.Mechanism | undefined
  /**
   * Follow the ensemble's own configuration, as `updateHosts` would. A function
   * says where clients reach a member: needed with `tls`, since the configuration
   * names plain ports. Whoever may write `/zookeeper/config` decides then whom
   * this client talks to. @default false
   */
  readonly followConfig?: boolean | ((member: EnsembleConfig.Member) => ConnectionString.Host | undefined) | undefined
  /** How SRV records are looked up. @default by Node */
  readonly lookupSrv?:
    | ((name: string) => Effect.Effect<ReadonlyArray<ConnectionString.Host>, ConnectionError>)
    | undefined
  /** How a server is dialled, in place of `tls`. @default TCP through Node */
  readonly dial?: ((host: ConnectionString.Host) => Effect.Effect<Socket.Socket>) | undefined
}

const encoder = new TextEncoder()

const secret = (credential: Redacted.Redacted<string> | string): Redacted.Redacted<Uint8Array> =>
  Redacted.make(encoder.encode(typeof credential === "string" ? credential : Redacted.value(credential)))

const positive = (
  argument: string,
  value: Duration.Input | undefined,
  fallback: number
): Effect.Effect<number, BadArguments> => {
  if (value === undefined) return Effect.succeed(fallback)
  const millis = Option.match(Duration.fromInput(value), { onNone: () => Number.NaN, onSome: Duration.toMillis })
  return Number.isFinite(millis) && millis >= 1 && millis <= 0x7fff_ffff
    ? Effect.succeed(Math.round(millis))
    : Effect.fail(
      new BadArguments({ argument, value: String(value), problem: "must be between 1 ms and 2147483647 ms" })
    )
}

const size = (
  argument: string,
  value: number | undefined,
  fallback: number,
  least: number
): Effect.Effect<number, BadArguments> => {
  if (value === undefined) return Effect.succeed(fallback)
  return Number.isSafeInteger(value) && value >= least && value <= 0x3fff_ffff
    ? Effect.succeed(value)
    : Effect.fail(
      new BadArguments({ argument, value: String(value), problem: `must be a whole number, ${least} to 1073741823` })
    )
}

const dialOf = (options: Options): Effect.Effect<NonNullable<Options["dial"]>, BadArguments> => {
  const { dial, tls = false } = options
  if (tls === false) return Effect.succeed(dial ?? ((host) => NodeTransport.dial(host)))
  if (dial !== undefined) {
    return Effect.fail(
      new BadArguments({ argument: "tls", value: "", problem: "with dial of your own, TLS is for it to speak" })
    )
  }
  const settings = tls === true ? {} : tls
  const problem = Tls.problemOf(settings)
  if (problem !== undefined) return Effect.fail(problem)
  // Loaded by those who use it: Node's TLS is 8 ms of a process's start.
  return Effect.map(Effect.promise(() => import("./client/NodeTls.ts")), ({ dial: dialTls }) => {
    const dialled = dialTls(settings)
    return (host) => dialled(host)
  })
}

/**
 * A client that lives as long as the scope; completes when it is connected.
 *
 * Fails with `BadArguments` where an option is malformed, and with a
 * `ConnectionError` where no session comes about within `connectTimeout`:
 * `Unreachable`, whose `reasons` say why per server, `AuthFailed` or
 * `AuthRequired` where we are refused, `SessionExpired` where a session to resume
 * is over and `onExpiry` is `"end"`. What fails or is interrupted leaves nothing
 * running, though the scope stays open.
 *
 * Closing the scope ends the session on the server within `closeTimeout`; what is
 * pending fails with `Closed`.
 *
 * @example
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as ZooKeeper from "effect-zookeeper/ZooKeeper"
 *
 * // Two clients in one scope: from one ensemble to another.
 * export const copied = Effect.scoped(Effect.gen(function*() {
 *   const from = yield* ZooKeeper.make({ hosts: "old.example" })
 *   const to = yield* ZooKeeper.make({ hosts: "new.example" })
 *   const { data } = yield* from.get("/config")
 *   yield* to.create("/config", data)
 * }))
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.fnUntraced(function*(
  options: Options
): Effect.fn.Return<Service, OperationError, Scope.Scope> {
  const srv = Option.getOrUndefined(yield* ConnectionString.parseDnsSrv(options.hosts))
  const { followConfig = false } = options
  if (followConfig === true && (options.tls ?? false) !== false) {
    return yield* new BadArguments({
      argument: "followConfig",
      value: "true",
      problem: "with tls: give a function that says where clients reach a member, its configuration names plain ports"
    })
  }
  const defaultAcl = options.defaultAcl ?? Acl.openUnsafe
  const problem = Acl.problemOf(defaultAcl)
  if (problem !== undefined) {
    return yield* new BadArguments({ argument: "defaultAcl", value: JSON.stringify(defaultAcl), problem })
  }
  const dial = yield* dialOf(options)
  const connectTimeout = yield* positive("connectTimeout", options.connectTimeout, 15_000)
  const settings = {
    dial,
    sasl: options.sasl ?? Option.getOrUndefined(yield* Effect.serviceOption(Sasl.SaslMechanism)),
    isPlain: options.dial === undefined && (options.tls ?? false) === false,
    sessionTimeout: yield* positive("sessionTimeout", options.sessionTimeout, 10_000),
    closeTimeout: yield* positive("closeTimeout", options.closeTimeout, 5000),
    readOnly: options.readOnly ?? false,
    failFast: options.failFast ?? false,
    onExpiry: options.onExpiry ?? "renew",
    limits: {
      requestTimeout: yield* positive("requestTimeout", options.requestTimeout, 0),
      maxRequestSize: yield* size("maxRequestSize", options.maxRequestSize, 0xf_ffff, 1024),
      maxReplySize: yield* size("maxReplySize", options.maxReplySize, 4 * 1024 * 1024, 1024)
    },
    maxInFlight: yield* size("maxInFlight", options.maxInFlight, 10_000, 1),
    reconnect: options.reconnect ?? RetryPolicy.connection,
    credentials: yield* Effect.forEach(options.auth ?? [], ({ credential, scheme }) =>
      scheme === ""
        ? Effect.fail(new BadArguments({ argument: "auth", value: "", problem: "the scheme is empty, expected e.g. digest" }))
        : Effect.succeed({ scheme, credential: secret(credential) })),
    resume: options.resume
  }
  // Nobody is asked for anything before all options are known to be good.
  const lookupSrv = options.lookupSrv ?? NodeTransport.lookupSrv
  let servers: ConnectionString.ConnectionString
  let timeLeft = connectTimeout
  if (srv === undefined) {
    servers = yield* ConnectionString.parse(options.hosts)
  } else {
    const [spent, hosts] = yield* Effect.timed(Membership.resolve(lookupSrv, srv.name, connectTimeout))
    servers = { hosts, chroot: srv.chroot }
    timeLeft = Math.max(1, connectTimeout - Math.round(Duration.toMillis(spent)))
  }
  return yield* Acquisition.wholly(Effect.gen(function*() {
    const session = yield* Session.make({ ...settings, servers, connectTimeout: timeLeft })
    const client = Client.make({ session, chroot: servers.chroot, defaultAcl, dial, secret })
    if (srv !== undefined) yield* Membership.refreshSrv(session, lookupSrv, srv.name)
    if (followConfig !== false) {
      yield* Membership.followConfig(session, client.configChanges, followConfig === true ? undefined : followConfig)
    }
    return client
  }))
})

/**
 * A layer that connects when it is built and ends the session when it is closed.
 * Fails like {@link make}.
 *
 * @example
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as ZooKeeper from "effect-zookeeper/ZooKeeper"
 *
 * export const main = ZooKeeper.ZooKeeper.use((zk) => zk.getChildren("/")).pipe(
 *   Effect.provide(ZooKeeper.layer({ hosts: "zk1.example,zk2.example" })),
 *   Effect.catchTag("ConnectionError", ({ message }) => Effect.logError(message))
 * )
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Options): Layer.Layer<ZooKeeper, OperationError> =>
  Layer.effect(ZooKeeper, make(options))

/**
 * {@link layer} with options from Effect's `Config`: those of a record of
 * `Config`s, or else all of `ZooKeeperConfig.options()` (`ZOOKEEPER_HOSTS`, …).
 * What is malformed or missing fails with a `ConfigError` that names the key; else
 * it fails like {@link make}.
 *
 * @example
 * ```ts
 * import * as Config from "effect/Config"
 * import * as ZooKeeper from "effect-zookeeper/ZooKeeper"
 *
 * // From ZOOKEEPER_HOSTS, ZOOKEEPER_SESSION_TIMEOUT, …
 * export const layer = ZooKeeper.layerConfig()
 *
 * // From names of your own.
 * export const named = ZooKeeper.layerConfig({
 *   hosts: Config.NonEmptyString("APP_ZK"),
 *   sessionTimeout: Config.Duration("APP_ZK_TIMEOUT")
 * })
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerConfig = (
  options: Config.Wrap<Options> = ZooKeeperConfig.options()
): Layer.Layer<ZooKeeper, Config.ConfigError | OperationError> =>
  Layer.effect(ZooKeeper, Effect.flatMap(Config.unwrap(options), make))

/**
 * {@link layer} under the name that users of other services look for. The example
 * at the top of this module uses it.
 *
 * @category layers
 * @since 0.1.0
 */
export const ZooKeeperLive = layer
