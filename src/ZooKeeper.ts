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
  readonly authScheme: string
  readonly user: string
}

/**
 * A value that was read, and the one event that its watch will tell. The event
 * waits across reconnects and fails with `SessionExpired` when the session ends;
 * closing the scope removes the watch.
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
 * Order: requests are executed in the order in which their effects run; a watch
 * event is seen before the result of any request that could show the change.
 * Disconnected: requests wait for a connection until the session's deadline,
 * then fail with `SessionExpired` (with `failFast` they fail at once).
 * Interruption: a request that was not sent is not sent any more; one that was
 * may still be executed, and its answer is dropped.
 *
 * @category models
 * @since 0.1.0
 */
export interface Service {
  /**
   * Creates a znode and returns its path, with the sequence suffix where there
   * is one. `protected` creates are found again when their reply was lost.
   */
  readonly create: (path: string, data?: Data, options?: CreateOptions) => Effect.Effect<string, CreateError>
  /** Like `create`, and returns the Stat as well (ZooKeeper 3.5 and later). */
  readonly createWithStat: (path: string, data?: Data, options?: CreateOptions) => Effect.Effect<Created, CreateError>
  /** The Stat of a znode; `None` where there is none. */
  readonly exists: (path: string) => Effect.Effect<Option.Option<Stat>, NoAuth | OperationError>
  /** Data and Stat. */
  readonly get: (path: string) => Effect.Effect<Znode, NoNode | NoAuth | OperationError>
  /**
   * Many znodes, each read or refused on its own; those of one reply show one
   * moment. Split so that no reply outgrows `maxReplySize`.
   */
  readonly getMany: (
    paths: ReadonlyArray<string>
  ) => Effect.Effect<ReadonlyArray<Result.Result<Znode, NoNode | NoAuth>>, OperationError>
  /** Names of the children, in no particular order. */
  readonly getChildren: (path: string) => Effect.Effect<ReadonlyArray<string>, NoNode | NoAuth | OperationError>
  /** Names of the children and the Stat of the parent. */
  readonly getChildrenWithStat: (path: string) => Effect.Effect<Children, NoNode | NoAuth | OperationError>
  /** Replaces the data, of the given version or (-1, the default) of any. */
  readonly set: (
    path: string,
    data: Data,
    version?: number
  ) => Effect.Effect<Stat, NoNode | NoAuth | BadVersion | QuotaExceeded | OperationError>
  /**
   * Reads, computes and writes until nobody was faster. A write whose reply was
   * lost is looked up by its version and data, so that it is never made twice;
   * where that cannot be decided the `Unknown` outcome is passed on.
   */
  readonly update: <E = never, R = never>(
    path: string,
    f: (data: Uint8Array, stat: Stat) => Data | Effect.Effect<Data, E, R>
  ) => Effect.Effect<Znode, E | NoNode | NoAuth | QuotaExceeded | OperationError, R>
  /** Deletes a znode, of the given version or (-1, the default) of any. */
  readonly delete: (
    path: string,
    version?: number
  ) => Effect.Effect<void, NoNode | NoAuth | BadVersion | NotEmpty | OperationError>
  /**
   * Deletes a znode and all below it, children first; not atomic. What others
   * delete meanwhile is fine. `NotEmpty` when others keep adding children.
   */
  readonly deleteRecursive: (path: string) => Effect.Effect<void, NoNode | NoAuth | NotEmpty | OperationError>
  /** Creates what is missing of a path, persistent and empty. What exists already is fine. */
  readonly ensurePath: (
    path: string,
    acl?: ReadonlyArray<Acl.Acl>
  ) => Effect.Effect<void, Exclude<CreateError, NodeExists>>
  /** The ACL and the Stat. Digest ids are masked (`user:x`) where one may read but not administer. */
  readonly getAcl: (
    path: string
  ) => Effect.Effect<
    { readonly acl: ReadonlyArray<Acl.Acl>; readonly stat: Stat },
    NoNode | NoAuth | OperationError
  >
  /** Replaces the ACL, of the given ACL version (`stat.aversion`) or (-1, the default) of any. */
  readonly setAcl: (
    path: string,
    acl: ReadonlyArray<Acl.Acl>,
    version?: number
  ) => Effect.Effect<Stat, NoNode | NoAuth | BadVersion | InvalidAcl | OperationError>
  /** Makes the connected server catch up with the leader: reads behind it see at least that state. */
  readonly sync: (path: string) => Effect.Effect<void, OperationError>
  /** Ephemeral znodes of this session at or below a path (3.6 and later). */
  readonly getEphemerals: (path?: string) => Effect.Effect<ReadonlyArray<string>, OperationError>
  /** How many znodes there are below a path (3.6 and later). */
  readonly countDescendants: (path: string) => Effect.Effect<number, NoNode | NoAuth | OperationError>
  /** The identities of this connection (3.7 and later). */
  readonly whoAmI: Effect.Effect<ReadonlyArray<Identity>, ConnectionError>
  /**
   * Adds an identity to this and all later connections. A refused one fails with
   * `AuthFailed` and makes the client unusable, as in every ZooKeeper client.
   */
  readonly addAuth: (
    scheme: string,
    credential: Redacted.Redacted<string> | string
  ) => Effect.Effect<void, ConnectionError>
  /** All or nothing. Results are typed by position; a failure names the culprit. */
  readonly transaction: <const Operations extends ReadonlyArray<Transaction.Operation>>(
    operations: Operations
  ) => Effect.Effect<Transaction.Results<Operations>, TransactionFailed | OperationError>

  /** The znode now, then whenever it has changed; `None` while it is not there. Goes on over new sessions. */
  readonly changes: (path: string) => Stream.Stream<Option.Option<Znode>, NoAuth | OperationError>
  /** The children now, then whenever they have changed; `None` while the znode is not there. */
  readonly childrenChanges: (path: string) => Stream.Stream<Option.Option<Children>, NoAuth | OperationError>
  /** Every event of a znode (and with `"recursive"` of all below it), with a `Gap` where some may be missing. */
  readonly watch: (
    path: string,
    mode?: "persistent" | "recursive"
  ) => Stream.Stream<WatchEvent, OperationError>
  /** `exists` with a one-shot watch: on creation, change or deletion. */
  readonly existsAndWatch: (
    path: string
  ) => Effect.Effect<Watched<Option.Option<Stat>>, NoAuth | OperationError, Scope.Scope>
  /** `get` with a one-shot watch: on change or deletion. */
  readonly getAndWatch: (
    path: string
  ) => Effect.Effect<Watched<Znode>, NoNode | NoAuth | OperationError, Scope.Scope>
  /** `getChildren` with a one-shot watch: on a child created or deleted, or the znode deleted. */
  readonly getChildrenAndWatch: (
    path: string
  ) => Effect.Effect<Watched<Children>, NoNode | NoAuth | OperationError, Scope.Scope>

  /** The state now. */
  readonly state: Effect.Effect<SessionState>
  /** The state now, then every later one. */
  readonly states: Stream.Stream<SessionState>
  /** Completes when there is no connection: at once, or when the one there is has been lost. */
  readonly disconnected: Effect.Effect<void>
  /** The session that is connected now; waits for one. */
  readonly session: Effect.Effect<SessionInfo, ConnectionError>
  /** Whether the session is sure to be alive, by the clock alone: no round trip, no event needed. */
  readonly isAlive: Effect.Effect<boolean>
  /** Fails with `SessionExpired`, `AuthFailed` or `Closed` when the session that is current now has ended. */
  readonly sessionEnd: Effect.Effect<never, ConnectionError>
  /** Closes the client, leaves the session alive and returns what resumes it elsewhere. */
  readonly detach: Effect.Effect<SessionCredentials, ConnectionError>
  /** What the connected server says about itself (`srvr`), over a connection of its own. */
  readonly serverFacts: Effect.Effect<ServerFacts, ConnectionError>
  /** Who belongs to the ensemble (3.5 and later). */
  readonly config: Effect.Effect<EnsembleConfig.EnsembleConfig, NoNode | NoAuth | OperationError>
  /** Who belongs to the ensemble now, then after every change. */
  readonly configChanges: Stream.Stream<EnsembleConfig.EnsembleConfig, NoAuth | OperationError>
  /**
   * Changes who belongs to the ensemble, and returns the configuration that is
   * valid then. `BadVersion` where `version` is not the current one. A standalone
   * server, and one without `reconfigEnabled`, answer `Unimplemented`.
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
   * the old connection is given up. The chroot cannot be changed.
   */
  readonly updateHosts: (hosts: string | ReadonlyArray<string>) => Effect.Effect<void, BadArguments>
  /** The prefix that is put before all paths; `""` for none. */
  readonly chroot: string
}

/**
 * The service tag of the client.
 *
 * @category services
 * @since 0.1.0
 */
export class ZooKeeper extends Context.Service<ZooKeeper, Service>()("effect-zookeeper/ZooKeeper") {}

/**
 * Options of the client.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /**
   * `host[:port],…[/chroot]`. Port 2181 by default, IPv6 in brackets. Names are
   * resolved at every attempt; of one with many addresses all are tried. Or
   * `dns-srv://name[/chroot]`: the servers are those of the SRV records, which are
   * looked up again every minute, and every 2 seconds while none serves us.
   */
  readonly hosts: string | ReadonlyArray<string>
  /** Asked of the server, which clamps it. @default "10 seconds" */
  readonly sessionTimeout?: Duration.Input | undefined
  /** How long building the layer may take; then it fails with `Unreachable`. @default "15 seconds" */
  readonly connectTimeout?: Duration.Input | undefined
  /** How long closing may take, whatever the state. @default "5 seconds" */
  readonly closeTimeout?: Duration.Input | undefined
  /** Bound for one answer; beyond it the connection is dropped. @default none */
  readonly requestTimeout?: Duration.Input | undefined
  /** Pauses between rounds over all servers. @default RetryPolicy.connection */
  readonly reconnect?: Schedule.Schedule<unknown> | undefined
  /** Identities for every connection; `credential` of scheme digest is `user:password`. */
  readonly auth?:
    | ReadonlyArray<{ readonly scheme: string; readonly credential: Redacted.Redacted<string> | string }>
    | undefined
  /** ACL of created znodes where none is given. @default Acl.openUnsafe: everyone may do everything */
  readonly defaultAcl?: ReadonlyArray<Acl.Acl> | undefined
  /** Whether a server without quorum is welcome for reads. @default false */
  readonly readOnly?: boolean | undefined
  /** Requests fail at once while disconnected, instead of waiting. @default false */
  readonly failFast?: boolean | undefined
  /** After expiry: open a new session, or be unusable from then on. @default "renew" */
  readonly onExpiry?: "renew" | "end" | undefined
  /** A session to go on with, as `detach` returned it. */
  readonly resume?: SessionCredentials | undefined
  /** Largest request in bytes: the servers' `jute.maxbuffer`. @default 1048575 */
  readonly maxRequestSize?: number | undefined
  /** Largest reply in bytes; a larger one fails alone. @default 4194304 */
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
 * A client that lives as long as the scope. Fails with `BadArguments` where an
 * option is malformed, and with a `ConnectionError` of reason `Unreachable` or
 * `AuthFailed` where no session comes about within `connectTimeout`; what fails
 * or is interrupted leaves nothing running, though the scope stays open.
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
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Options): Layer.Layer<ZooKeeper, OperationError> =>
  Layer.effect(ZooKeeper, make(options))

/**
 * {@link layer} with options from Effect's `Config`: those of a record of
 * `Config`s, or else all of `ZooKeeperConfig.options()` (`ZOOKEEPER_HOSTS`, …).
 * What is malformed or missing fails with a `ConfigError` that names the key.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerConfig = (
  options: Config.Wrap<Options> = ZooKeeperConfig.options()
): Layer.Layer<ZooKeeper, Config.ConfigError | OperationError> =>
  Layer.effect(ZooKeeper, Effect.flatMap(Config.unwrap(options), make))

/**
 * {@link layer} under the name that users of other services look for.
 *
 * @category layers
 * @since 0.1.0
 */
export const ZooKeeperLive = layer
