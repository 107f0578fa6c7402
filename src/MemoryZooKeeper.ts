/**
 * The in-memory ZooKeeper on a TCP port, for clients of any language: kazoo,
 * the Java and the C client and their shells, Curator. For tests and for
 * trying things out.
 *
 * **Not a production server**: it keeps everything in the memory of one
 * process, replicates nothing, and what it acknowledged is gone with it, but
 * for what a snapshot file saves when it stops in an orderly way.
 *
 * From a command line: `npx effect-zookeeper-server --port 2181`.
 *
 * @example
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as MemoryZooKeeper from "effect-zookeeper/MemoryZooKeeper"
 *
 * export const main = Effect.gen(function*() {
 *   const { hosts, test } = yield* MemoryZooKeeper.listen({ port: 2181 })
 *   yield* Effect.logInfo(`listening on ${hosts}`)
 *   // Whoever creates the next znode will not hear of it.
 *   yield* test.loseReply(({ operation }) => operation === "create")
 *   yield* Effect.never
 * }).pipe(Effect.scoped)
 * ```
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Network from "./memory/Network.ts"
import * as NodeListener from "./memory/NodeListener.ts"
import * as Server from "./memory/Server.ts"
import * as SnapshotFile from "./memory/SnapshotFile.ts"
import * as ZooKeeperTest from "./ZooKeeperTest.ts"

/**
 * Where and how the server listens.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options extends ZooKeeperTest.ServerOptions {
  /** 0 takes any that is free. @default 2181 */
  readonly port?: number | undefined
  /** The address to listen on. @default "127.0.0.1": this machine only */
  readonly host?: string | undefined
  /** How many servers: as many ports (from `port` on) to one and the same tree. @default 1 */
  readonly size?: number | undefined
  /**
   * A file that the tree and the sessions are loaded from, where it is there,
   * and saved to when the server stops in an orderly way. @default none
   */
  readonly snapshot?: string | undefined
}

/**
 * A server that listens.
 *
 * @category models
 * @since 0.1.0
 */
export interface Service {
  /** The connect string: `host:port`, as many as there are servers. */
  readonly hosts: string
  /** The (first) port. */
  readonly port: number
  /** Saves the snapshot now: does nothing where no file was named. */
  readonly save: Effect.Effect<void, SnapshotError>
  /** To look inside and to break things, as in tests; servers go by their `host:port`. */
  readonly test: ZooKeeperTest.Service
}

/**
 * The port cannot be listened on.
 *
 * @category errors
 * @since 0.1.0
 */
export class ListenError extends Schema.TaggedError<ListenError>("~effect-zookeeper/MemoryZooKeeper/ListenError")(
  "ListenError",
  {
    host: Schema.String,
    port: Schema.Int,
    /** `EADDRINUSE`, `EACCES`, `EADDRNOTAVAIL`, … */
    code: Schema.String,
    detail: Schema.String
  }
) {
  override get message() {
    return `Cannot listen on ${this.host}:${this.port}: ${advice[this.code] ?? this.detail}`
  }
}

const advice: Readonly<Record<string, string>> = {
  EADDRINUSE: "the port is taken; choose another, or 0 for any that is free",
  EACCES: "ports below 1024 need privileges; choose another, or 0 for any that is free",
  EADDRNOTAVAIL: "this machine does not have that address",
  ENOTFOUND: "there is no such host",
  ERR_SOCKET_BAD_PORT: "ports go from 0 to 65535"
}

/**
 * The snapshot file cannot be read or written, or is no snapshot.
 *
 * @category errors
 * @since 0.1.0
 */
export class SnapshotError extends Schema.TaggedError<SnapshotError>("~effect-zookeeper/MemoryZooKeeper/SnapshotError")(
  "SnapshotError",
  { file: Schema.String, detail: Schema.String }
) {
  override get message() {
    return `The snapshot ${this.file} is of no use: ${this.detail}`
  }
}

/**
 * The service tag of a server that listens.
 *
 * @category services
 * @since 0.1.0
 */
export class MemoryZooKeeper
  extends Context.Service<MemoryZooKeeper, Service>()("effect-zookeeper/MemoryZooKeeper")
{}

/**
 * Listens for as long as the scope is open. When it closes, no connection is
 * accepted any more, those that live are closed, and the port is free again.
 *
 * Fails with `ListenError` where the port is taken, or cannot be had, and with
 * `SnapshotError` where there is a snapshot that cannot be loaded. One that
 * cannot be saved at the end is logged.
 *
 * @example
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as MemoryZooKeeper from "effect-zookeeper/MemoryZooKeeper"
 * import * as ZooKeeper from "effect-zookeeper/ZooKeeper"
 *
 * export const program = Effect.scoped(Effect.gen(function*() {
 *   const { hosts } = yield* MemoryZooKeeper.listen({ port: 0 })
 *   const zk = yield* ZooKeeper.make({ hosts })
 *   return yield* zk.create("/over-tcp") // => "/over-tcp"
 * }))
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const listen = (options: Options = {}): Effect.Effect<Service, ListenError | SnapshotError, Scope.Scope> =>
  Effect.gen(function*() {
    const { host = "127.0.0.1", port = 2181, requestLog = 10_000, size = 1, snapshot, ...serverOptions } = options
    const known = port === 0 ? {} : { members: Array.from({ length: size }, (_, index) => `${host}:${port + index}`) }
    const server = yield* Server.make({ ...known, ...serverOptions })
    const unusable = (detail: string) => new SnapshotError({ file: snapshot ?? "", detail })
    const save = snapshot === undefined ? Effect.void : SnapshotFile.save(server, snapshot, unusable)
    if (snapshot !== undefined) {
      yield* SnapshotFile.load(server, snapshot, unusable)
      yield* Effect.addFinalizer(() =>
        Effect.catchTag(save, "SnapshotError", (error) => Effect.logError(error.message)))
    }
    const network = yield* Network.make(server, { requestLog })
    const addresses = yield* Effect.forEach(Array.from({ length: size }, (_, index) => index), (index) => {
      const wanted = port === 0 ? 0 : port + index
      return Effect.mapError(
        NodeListener.listen(network, { host, port: wanted }),
        ({ code, message }) => new ListenError({ host, port: wanted, code, detail: message })
      )
    })
    const names = addresses.map(({ name }) => name)
    return {
      hosts: names.join(","),
      port: addresses[0]?.port ?? port,
      save,
      test: ZooKeeperTest.fromNetwork(network, names)
    }
  })

/**
 * {@link listen} as a layer, with the same errors.
 *
 * @example
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as Layer from "effect/Layer"
 * import * as MemoryZooKeeper from "effect-zookeeper/MemoryZooKeeper"
 *
 * export const main = Layer.launch(MemoryZooKeeper.layer({ port: 2181, snapshot: "zookeeper.snapshot" })).pipe(
 *   Effect.catchTag("ListenError", ({ message }) => Effect.logError(message))
 * )
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options?: Options): Layer.Layer<MemoryZooKeeper, ListenError | SnapshotError> =>
  Layer.effect(MemoryZooKeeper, listen(options))
