/**
 * A ZooKeeper for tests: the real client, bytes and all, on a server in the
 * same process. No installation, no ports, nothing to clean up; milliseconds
 * instead of seconds.
 *
 * In place of `ZooKeeperLive(…)`, a test provides `ZooKeeperTest.layer()`. The
 * code under test does not notice; the test itself gets hold of the server, to
 * look inside and to break things: every fault is one line.
 *
 * Time is Effect's `Clock`, luck is Effect's `Random`: under `TestClock`
 * sessions expire when the test says so, and equal seeds make equal runs.
 *
 * @example
 * ```ts
 * import { assert, it } from "@effect/vitest"
 * import * as Effect from "effect/Effect"
 * import * as Option from "effect/Option"
 * import * as TestClock from "effect/testing/TestClock"
 * import { ZooKeeper } from "effect-zookeeper/ZooKeeper"
 * import { ZooKeeperTest } from "effect-zookeeper/ZooKeeperTest"
 *
 * it.effect("an ephemeral znode goes with its session", () =>
 *   Effect.gen(function*() {
 *     const zk = yield* ZooKeeper
 *     const test = yield* ZooKeeperTest
 *     yield* zk.create("/mine", "", { mode: "ephemeral" })
 *     yield* test.expireSession
 *     yield* TestClock.adjust("1 second")
 *     assert.isTrue(Option.isNone(yield* zk.exists("/mine")))
 *   }).pipe(Effect.provide(ZooKeeperTest.layer())))
 * ```
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type * as Socket from "effect/socket/Socket"
import type { Acl } from "./Acl.ts"
import * as Uuid from "./client/Uuid.ts"
import { formatHost, type Host } from "./ConnectionString.ts"
import type { ErrorCode } from "./jute/ErrorCode.ts"
import * as MemoryControls from "./memory/Controls.ts"
import type { Client, Faults, ReplyHook, RequestHook } from "./memory/Faults.ts"
import * as InProcessSocket from "./memory/InProcessSocket.ts"
import * as Network from "./memory/Network.ts"
import type { OperationName as MemoryOperationName } from "./memory/OperationName.ts"
import * as Server from "./memory/Server.ts"
import type { Znode } from "./Znode.ts"
import * as ZooKeeper from "./ZooKeeper.ts"

/**
 * What a request asks for, by the name that the client's operation has:
 * `"create"` stands for all kinds of creates, `"get"`, `"set"`, `"transaction"`,
 * `"watch"`, …, and beside them `"connect"` (the handshake), `"ping"` and
 * `"close"`.
 *
 * @category models
 * @since 0.1.0
 */
export type OperationName = MemoryOperationName

/**
 * The name of an error as the protocol has it: `"NoNode"`, `"BadVersion"`,
 * `"NoAuth"`, `"Throttled"`, …
 *
 * @category models
 * @since 0.1.0
 */
export type ErrorName = Exclude<keyof typeof ErrorCode, "Ok">

/**
 * A request that the server was sent: its operation, path, xid, session and
 * connection, and when it came (in ms, by the `Clock`).
 *
 * @category models
 * @since 0.1.0
 */
export interface Request extends Network.Request {}

/**
 * A reply on its way to a client: its error code (0 for none) and zxid, and the
 * operation and path of the request it answers.
 *
 * @category models
 * @since 0.1.0
 */
export interface Reply extends Network.Reply {}

/**
 * What happens to a frame that is corrupted. `"length"`: it announces a negative
 * length. `"truncated"`: it ends early. `"xid"`: it answers a request that
 * nobody made. `"bit"`: a bit of it, drawn from `Random`, is flipped, which may
 * remain unnoticed where it is data.
 *
 * @category models
 * @since 0.1.0
 */
export type CorruptHow = "length" | "truncated" | "xid" | "bit"

/**
 * What can be done to connections and sessions: to all of them, or (through
 * `of`) to those of one client, one session or one server. Faults stay until
 * they are taken back or {@link Controls.heal | heal} takes all of them back;
 * they do not hinder the closing of the layer.
 *
 * A client that lost its connection waits up to 200 ms before it tries again:
 * under `TestClock` adjust the clock by so much.
 *
 * @category models
 * @since 0.1.0
 */
export interface Controls {
  /**
   * The server ends the sessions, as if their time had run out: their ephemeral
   * znodes are gone at once, and their connections are closed without a word.
   * The client learns it when it comes back.
   *
   * @example
   * ```ts
   * import { ZooKeeperTest } from "effect-zookeeper/ZooKeeperTest"
   *
   * export const example = ZooKeeperTest.use((test) => test.expireSession)
   * ```
   */
  readonly expireSession: Effect.Effect<void>
  /**
   * Ends the connections. `"cut"` (the default): both sides learn it at once;
   * requests in flight may have been executed. `"halfOpen"`: nothing passes any
   * more in either direction, and neither side learns it but by its own timer.
   * New connections are not concerned.
   *
   * @example
   * ```ts
   * import { ZooKeeperTest } from "effect-zookeeper/ZooKeeperTest"
   *
   * export const example = ZooKeeperTest.use((test) => test.disconnect("halfOpen"))
   * ```
   */
  readonly disconnect: (how?: "cut" | "halfOpen") => Effect.Effect<void>
  /**
   * Whether new connections are refused. Those that live go on.
   *
   * @example
   * ```ts
   * import * as Effect from "effect/Effect"
   * import { ZooKeeperTest } from "effect-zookeeper/ZooKeeperTest"
   *
   * export const example = ZooKeeperTest.use((test) => Effect.andThen(test.refuseConnections(), test.disconnect()))
   * ```
   */
  readonly refuseConnections: (refused?: boolean) => Effect.Effect<void>
  /**
   * Whether new connections are accepted and then never answered, not even when
   * this is taken back: a server that hangs.
   *
   * @example
   * ```ts
   * import { ZooKeeperTest } from "effect-zookeeper/ZooKeeperTest"
   *
   * export const example = ZooKeeperTest.use((test) => test.muteConnections())
   * ```
   */
  readonly muteConnections: (muted?: boolean) => Effect.Effect<void>
  /**
   * Holds all bytes, of new connections too, and the news that a side has
   * closed, until {@link Controls.thaw | thaw} delivers them late.
   *
   * @example
   * ```ts
   * import { ZooKeeperTest } from "effect-zookeeper/ZooKeeperTest"
   *
   * export const example = ZooKeeperTest.use((test) => test.freeze("toClient"))
   * ```
   */
  readonly freeze: (direction?: "toServer" | "toClient" | "both") => Effect.Effect<void>
  /**
   * Delivers what {@link Controls.freeze | freeze} held.
   *
   * @example
   * ```ts
   * import { ZooKeeperTest } from "effect-zookeeper/ZooKeeperTest"
   *
   * export const example = ZooKeeperTest.use((test) => test.thaw)
   * ```
   */
  readonly thaw: Effect.Effect<void>
  /**
   * Each frame takes so long, in each direction; 0 takes it back.
   *
   * @example
   * ```ts
   * import { ZooKeeperTest } from "effect-zookeeper/ZooKeeperTest"
   *
   * export const example = ZooKeeperTest.use((test) => test.delay("50 millis"))
   * ```
   */
  readonly delay: (duration: Duration.Input) => Effect.Effect<void>
  /**
   * Whether bytes arrive one at a time, in both directions.
   *
   * @example
   * ```ts
   * import { ZooKeeperTest } from "effect-zookeeper/ZooKeeperTest"
   *
   * export const example = ZooKeeperTest.use((test) => test.splitBytes())
   * ```
   */
  readonly splitBytes: (split?: boolean) => Effect.Effect<void>
  /**
   * Passes so many more bytes in this direction (by default to the client),
   * over all connections, and then cuts the one that carried the last. Frames
   * are torn where it falls. Once.
   *
   * @example
   * ```ts
   * import { ZooKeeperTest } from "effect-zookeeper/ZooKeeperTest"
   *
   * export const example = ZooKeeperTest.use((test) => test.cutAfterBytes(100))
   * ```
   */
  readonly cutAfterBytes: (bytes: number, direction?: "toServer" | "toClient") => Effect.Effect<void>
  /**
   * The next request that fits is executed, and in place of its reply the
   * connection is cut: the client cannot know whether it was. Without a
   * predicate any reply to a request fits; with one also handshakes, pings and
   * events are asked for.
   *
   * @example
   * ```ts
   * import { ZooKeeperTest } from "effect-zookeeper/ZooKeeperTest"
   *
   * export const example = ZooKeeperTest.use((test) => test.loseReply(({ operation }) => operation === "create"))
   * ```
   */
  readonly loseReply: (
    predicate?: (reply: Reply) => boolean,
    options?: { readonly times?: number | undefined }
  ) => Effect.Effect<void>
  /**
   * The next such request is not executed, but answered with an error. In a
   * transaction the first operation is the culprit, unless the error is about
   * the request as a whole (`"Throttled"`, `"NotReadOnly"`, …). Behind
   * `"Unimplemented"` the connection is closed, as servers do.
   *
   * @example
   * ```ts
   * import { ZooKeeperTest } from "effect-zookeeper/ZooKeeperTest"
   *
   * export const example = ZooKeeperTest.use((test) => test.failNext("set", "BadVersion"))
   * ```
   */
  readonly failNext: (
    operation: Exclude<OperationName, "connect" | "unknown">,
    error: ErrorName | number,
    options?: { readonly times?: number | undefined }
  ) => Effect.Effect<void>
  /**
   * Corrupts the next reply that fits. Without a predicate any reply to a
   * request fits.
   *
   * @example
   * ```ts
   * import { ZooKeeperTest } from "effect-zookeeper/ZooKeeperTest"
   *
   * export const example = ZooKeeperTest.use((test) => test.corruptFrame("truncated"))
   * ```
   */
  readonly corruptFrame: (how?: CorruptHow, predicate?: (reply: Reply) => boolean) => Effect.Effect<void>
  /**
   * The sessions go over to another server (`host:port`; by default some other
   * one), as if their client had connected there. The server that had them
   * hangs up without a word when it is asked next.
   *
   * @example
   * ```ts
   * import { ZooKeeperTest } from "effect-zookeeper/ZooKeeperTest"
   *
   * export const example = ZooKeeperTest.use((test) => test.moveSession())
   * ```
   */
  readonly moveSession: (to?: string) => Effect.Effect<void>
  /**
   * Decides about every frame from a client, given without its length, until
   * the scope ends. The first hook with an opinion wins.
   *
   * @example
   * ```ts
   * import { ZooKeeperTest } from "effect-zookeeper/ZooKeeperTest"
   *
   * export const example = ZooKeeperTest.use((test) =>
   *   test.onRequest(({ operation }) => operation === "ping" ? { _tag: "Drop" } : undefined)
   * )
   * ```
   */
  readonly onRequest: (hook: RequestHook) => Effect.Effect<void, never, Scope.Scope>
  /**
   * Decides about every frame from the server, given without its length, until
   * the scope ends. The first hook with an opinion wins.
   *
   * @example
   * ```ts
   * import { ZooKeeperTest } from "effect-zookeeper/ZooKeeperTest"
   *
   * export const example = ZooKeeperTest.use((test) =>
   *   test.onReply(({ operation }) => operation === "event" ? { _tag: "Hold" } : undefined)
   * )
   * ```
   */
  readonly onReply: (hook: ReplyHook) => Effect.Effect<void, never, Scope.Scope>
  /**
   * Lets go of what hooks hold.
   *
   * @example
   * ```ts
   * import { ZooKeeperTest } from "effect-zookeeper/ZooKeeperTest"
   *
   * export const example = ZooKeeperTest.use((test) => test.release)
   * ```
   */
  readonly release: Effect.Effect<void>
  /**
   * Takes all of these faults back. What is lost stays lost.
   *
   * @example
   * ```ts
   * import { ZooKeeperTest } from "effect-zookeeper/ZooKeeperTest"
   *
   * export const example = ZooKeeperTest.use((test) => test.heal)
   * ```
   */
  readonly heal: Effect.Effect<void>
}

/**
 * How the server behaves.
 *
 * @category models
 * @since 0.1.0
 */
export interface ServerOptions extends Server.Options {
  /** How many of the newest requests are kept for `requests`. @default 10000 */
  readonly requestLog?: number | undefined
}

/**
 * What a client of the test server can be told: all options of the client but
 * where and how it connects, and a chroot.
 *
 * @category models
 * @since 0.1.0
 */
export interface ClientOptions extends Omit<Partial<ZooKeeper.Options>, "hosts" | "dial"> {
  /** Put before all paths; it is not created. @default none */
  readonly chroot?: string | undefined
}

/**
 * Options of {@link layer}: those of the client, and those of the server.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options extends ClientOptions {
  readonly server?: ServerOptions | undefined
}

/**
 * Options of {@link layerEnsemble}.
 *
 * @category models
 * @since 0.1.0
 */
export interface EnsembleOptions extends ServerOptions {
  /** How many servers: addresses of one and the same tree. @default 1 */
  readonly size?: number | undefined
}

/**
 * Everything that a server knows: every znode by its path (those of `/zookeeper`
 * included), every session and every watch.
 *
 * @category models
 * @since 0.1.0
 */
export interface Dump {
  /** The last transaction. */
  readonly zxid: bigint
  readonly znodes: ReadonlyMap<string, Znode & { readonly acl: ReadonlyArray<Acl> }>
  readonly sessions: ReadonlyArray<Server.SessionView>
  readonly watches: ReadonlyArray<Server.WatchView>
}

/**
 * A server for tests, as the test sees it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Service extends Controls {
  /**
   * The controls for some connections and sessions only: those of a client, of
   * a session id, or of a server (`host:port`, one of `hosts`).
   *
   * @example
   * ```ts
   * import * as Effect from "effect/Effect"
   * import { ZooKeeperTest } from "effect-zookeeper/ZooKeeperTest"
   *
   * export const example = Effect.gen(function*() {
   *   const test = yield* ZooKeeperTest
   *   const [alice, bob] = yield* Effect.all([test.client(), test.client()])
   *   yield* test.of(alice).disconnect()
   *   yield* bob.create("/undisturbed")
   * })
   * ```
   */
  readonly of: (who: ZooKeeper.Service | bigint | string) => Controls
  /**
   * Whether a server (by default all) has lost its quorum: it refuses writes,
   * and clients that do not accept a server that is read-only.
   *
   * @example
   * ```ts
   * import { ZooKeeperTest } from "effect-zookeeper/ZooKeeperTest"
   *
   * export const example = ZooKeeperTest.use((test) => test.readOnly())
   * ```
   */
  readonly readOnly: (readOnly?: boolean, server?: string) => Effect.Effect<void>
  /**
   * The newest requests that came in, oldest first.
   *
   * @example
   * ```ts
   * import * as Effect from "effect/Effect"
   * import { ZooKeeperTest } from "effect-zookeeper/ZooKeeperTest"
   *
   * export const writes = ZooKeeperTest.use((test) =>
   *   Effect.map(test.requests, (requests) => requests.filter(({ operation }) => operation === "set"))
   * )
   * ```
   */
  readonly requests: Effect.Effect<ReadonlyArray<Request>>
  /**
   * The first request that fits, of those that come from now on.
   *
   * @example
   * ```ts
   * import { ZooKeeperTest } from "effect-zookeeper/ZooKeeperTest"
   *
   * export const example = ZooKeeperTest.use((test) => test.waitForRequest(({ path }) => path === "/lock"))
   * ```
   */
  readonly waitForRequest: (predicate: (request: Request) => boolean) => Effect.Effect<Request>
  /**
   * What the server knows now, without asking it as a client: no permission, no
   * session, no trace in the log.
   *
   * @example
   * ```ts
   * import * as Effect from "effect/Effect"
   * import { ZooKeeperTest } from "effect-zookeeper/ZooKeeperTest"
   *
   * export const locked = ZooKeeperTest.use((test) =>
   *   Effect.map(test.dump, ({ znodes }) => znodes.has("/lock"))
   * )
   * ```
   */
  readonly dump: Effect.Effect<Dump>
  /**
   * How many connections live now.
   *
   * @example
   * ```ts
   * import * as Effect from "effect/Effect"
   * import { ZooKeeperTest } from "effect-zookeeper/ZooKeeperTest"
   *
   * export const program = Effect.gen(function*() {
   *   const test = yield* ZooKeeperTest
   *   yield* test.client()
   *   return (yield* test.connections) // => 2
   * })
   * ```
   */
  readonly connections: Effect.Effect<number>
  /**
   * Another client of the same server, for as long as the scope is open.
   *
   * @example
   * ```ts
   * import * as Effect from "effect/Effect"
   * import { ZooKeeperTest } from "effect-zookeeper/ZooKeeperTest"
   *
   * export const example = Effect.gen(function*() {
   *   const test = yield* ZooKeeperTest
   *   const rival = yield* test.client({ sessionTimeout: "4 seconds" })
   *   yield* rival.create("/taken")
   * })
   * ```
   */
  readonly client: (
    options?: ClientOptions
  ) => Effect.Effect<ZooKeeper.Service, ZooKeeper.OperationError, Scope.Scope>
  /**
   * The addresses of the servers, for a client that is made by other means with `dial`.
   *
   * @example
   * ```ts
   * import * as Effect from "effect/Effect"
   * import { ZooKeeperTest } from "effect-zookeeper/ZooKeeperTest"
   * import * as ZooKeeper from "effect-zookeeper/ZooKeeper"
   *
   * export const program = Effect.gen(function*() {
   *   const test = yield* ZooKeeperTest
   *   const zk = yield* ZooKeeper.make({ hosts: test.hosts, dial: test.dial })
   *   return yield* zk.create("/by-other-means")
   * })
   * ```
   */
  readonly hosts: ReadonlyArray<string>
  /** Connects to one of `hosts` in this process: the client's option of this name. */
  readonly dial: (host: Host) => Effect.Effect<Socket.Socket>
}

/**
 * The tag under which tests find the server.
 *
 * @category services
 * @since 0.1.0
 */
export class ZooKeeperTest extends Context.Service<ZooKeeperTest, Service>()("effect-zookeeper/ZooKeeperTest") {
  /** {@link layer} */
  static readonly layer = (options?: Options) => layer(options)
  /** {@link layerEnsemble} */
  static readonly layerEnsemble = (options?: EnsembleOptions) => layerEnsemble(options)
  /** {@link layerClient} */
  static readonly layerClient = (options?: ClientOptions) => layerClient(options)
}

/** Ends a client so that closing it waits for nobody, in particular not for a clock that stands still. */
const abandon = (network: Network.Network, zk: ZooKeeper.Service, token: Client): Effect.Effect<void> =>
  Effect.flatMap(zk.state, ({ _tag }) => {
    if (_tag === "Closed" || _tag === "AuthFailed") return Effect.void
    const isServed = [...network.connections].some((connection) =>
      connection.client === token && connection.sessionId !== 0n && connection.isClear
    )
    if (_tag === "Connected" && isServed) return Effect.void
    network.server.expireSession(token.sessionId)
    return Effect.ignore(zk.detach)
  })

/**
 * What a test sees of a server behind a network.
 *
 * @internal
 * @category constructors
 * @since 0.1.0
 */
export const fromNetwork = (network: Network.Network, hosts: ReadonlyArray<string>): Service => {
  const { server } = network
  const otherThan = (listener: string) => hosts.find((host) => host !== listener) ?? "elsewhere:2181"
  const clients = new WeakMap<ZooKeeper.Service, Client>()

  const controls = (concerns: Faults["concerns"], sessions: () => ReadonlyArray<bigint>) =>
    MemoryControls.make(network, network.newFaults(concerns), { sessions, otherThan })

  const dialAs = (client: Client) => (host: Host): Effect.Effect<Socket.Socket> =>
    Effect.sync(() =>
      InProcessSocket.make(network, { listener: formatHost(host), remoteAddress: "127.0.0.1", client })
    )

  const client: Service["client"] = Effect.fnUntraced(function*({ chroot = "", ...settings } = {}) {
    const token: Client = { sessionId: 0n }
    const zk = yield* ZooKeeper.make({ ...settings, hosts: `${hosts.join(",")}${chroot}`, dial: dialAs(token) })
    clients.set(zk, token)
    yield* Effect.addFinalizer(() => abandon(network, zk, token))
    return zk
  })

  const ofClient = (token: Client): Controls =>
    controls((place) => place.client === token, () => [token.sessionId])
  const known = new Map<ZooKeeper.Service | bigint | string, Controls>()
  const of = (who: ZooKeeper.Service | bigint | string): Controls => {
    if (typeof who === "bigint") return controls(({ sessionId }) => sessionId === who, () => [who])
    if (typeof who === "string") {
      return controls(({ listener }) => listener === who, () =>
        server.sessions.filter(({ listener }) => listener === who).map(({ id }) => id))
    }
    const token = clients.get(who)
    // A client of somebody else's: there is nothing of it here.
    return token === undefined ? controls(() => false, () => []) : ofClient(token)
  }

  return {
    ...controls(() => true, () => server.sessions.map(({ id }) => id)),
    of: (who) => {
      const made = known.get(who) ?? of(who)
      known.set(who, made)
      return made
    },
    readOnly: (readOnly = true, host) => Effect.sync(() => server.setReadOnly(readOnly, host)),
    requests: Effect.sync(() => network.requests),
    waitForRequest: (predicate) =>
      Effect.suspend(() => {
        const from = network.requestCount
        let found: Request | undefined
        const isThere = () => (found = network.find(predicate, from)) !== undefined
        return Effect.map(network.until(isThere), () => Option.getOrThrow(Option.fromNullishOr(found)))
      }),
    dump: Effect.sync(() => ({
      zxid: server.zxid,
      znodes: new Map(
        Array.from(server.tree.entries(), ([path, { acl, data, stat }]) =>
          [path, { data: data === null ? new Uint8Array(0) : new Uint8Array(data), stat, acl }])
      ),
      sessions: server.sessions,
      watches: server.watches
    })),
    connections: Effect.sync(() => network.connections.size),
    client,
    hosts,
    dial: (host) => Effect.suspend(() => dialAs({ sessionId: 0n })(host))
  }
}

/**
 * A server of its own, without clients, for as long as the scope is open.
 *
 * @example
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as ZooKeeperTest from "effect-zookeeper/ZooKeeperTest"
 *
 * export const program = Effect.scoped(Effect.gen(function*() {
 *   const test = yield* ZooKeeperTest.make({ size: 3 })
 *   const zk = yield* test.client()
 *   yield* zk.create("/a")
 *   return (yield* test.dump).znodes.has("/a") // => true
 * }))
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = ({ requestLog = 10_000, size = 1, ...options }: EnsembleOptions = {}): Effect.Effect<
  Service,
  never,
  Scope.Scope
> =>
  Effect.gen(function*() {
    const hosts = Array.from({ length: size }, (_, index) => `memory${index + 1}:2181`)
    const server = yield* Server.make({ members: hosts, ...options })
    return fromNetwork(yield* Network.make(server, { requestLog }), hosts)
  })

/**
 * A server, and as many clients as a test asks for: with `client`, or with
 * {@link layerClient}. Unique names come from Effect's `Random` under this layer.
 *
 * @example
 * ```ts
 * import * as Effect from "effect/Effect"
 * import { ZooKeeperTest } from "effect-zookeeper/ZooKeeperTest"
 *
 * export const program = Effect.gen(function*() {
 *   const test = yield* ZooKeeperTest
 *   const alice = yield* test.client()
 *   const bob = yield* test.client()
 *   yield* alice.create("/shared", "from alice")
 *   yield* test.of(alice).expireSession
 *   return yield* bob.get("/shared")
 * }).pipe(Effect.scoped, Effect.provide(ZooKeeperTest.layerEnsemble({ size: 3 })))
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerEnsemble = (options: EnsembleOptions = {}): Layer.Layer<ZooKeeperTest> =>
  Layer.merge(Layer.effect(ZooKeeperTest, make(options)), Layer.succeed(Uuid.Uuid, Uuid.seeded))

/**
 * A client of the test server, of its own for each layer that is built. Fails
 * with `BadArguments` where an option is malformed.
 *
 * @example
 * ```ts
 * import { it } from "@effect/vitest"
 * import * as Effect from "effect/Effect"
 * import * as Layer from "effect/Layer"
 * import { ZooKeeper } from "effect-zookeeper/ZooKeeper"
 * import * as ZooKeeperTest from "effect-zookeeper/ZooKeeperTest"
 *
 * // One server for all tests, a client for each.
 * it.layer(ZooKeeperTest.layerEnsemble())("on one server", (it) => {
 *   it.effect("creates", () =>
 *     ZooKeeper.use((zk) => zk.create("/a")).pipe(Effect.provide(Layer.fresh(ZooKeeperTest.layerClient()))))
 * })
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerClient = (
  options?: ClientOptions
): Layer.Layer<ZooKeeper.ZooKeeper, ZooKeeper.OperationError, ZooKeeperTest> =>
  Layer.effect(ZooKeeper.ZooKeeper, ZooKeeperTest.use((test) => test.client(options)))

/**
 * A client, and the server that it is connected to: the replacement for
 * `ZooKeeperLive` in tests. Each build is a server of its own.
 *
 * Fails with `BadArguments` where an option is malformed.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (
  { server, ...options }: Options = {}
): Layer.Layer<ZooKeeper.ZooKeeper | ZooKeeperTest, ZooKeeper.OperationError> =>
  Layer.provideMerge(layerClient(options), layerEnsemble(server))
