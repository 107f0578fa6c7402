/**
 * Services that announce themselves, and clients that find them.
 *
 * Curator's service discovery in the same layout, `<base>/<name>/<id>`, and the
 * same JSON, so that services and clients of both can be mixed. Payloads go
 * through a Schema.
 *
 * **Guarantees**
 *
 * - A registration lives as long as its scope. It is reconciled, never deleted
 *   and made again: consumers do not see it blink when a connection or a session
 *   is replaced.
 * - A consumer knows every instance that is registered, up to the time that news
 *   take. An instance that has crashed is listed until its session expires.
 * - An instance that cannot be decoded is left out with a warning; it does not
 *   hide the others.
 *
 * That an instance is listed does not mean that it can be reached: tell a
 * provider with `noteError` of one that cannot.
 *
 * @example
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as Schema from "effect/Schema"
 * import * as ServiceRegistry from "effect-zookeeper/recipe/ServiceRegistry"
 *
 * const registry = ServiceRegistry.make("/services", Schema.Struct({ weight: Schema.Int }))
 *
 * export const serve = Effect.scoped(Effect.gen(function*() {
 *   const registration = yield* registry.register({
 *     name: "greeter",
 *     address: "10.0.0.1",
 *     port: 8080,
 *     payload: { weight: 1 }
 *   })
 *   return yield* registration.failure
 * }))
 *
 * export const call = Effect.scoped(Effect.gen(function*() {
 *   const provider = yield* registry.provider("greeter", { strategy: "random" })
 *   const { address, port } = yield* provider.get
 *   return `http://${address}:${port}/`
 * }))
 * ```
 *
 * @since 0.1.0
 */
import * as Arr from "effect/Array"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Result from "effect/Result"
import type * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Acl } from "../Acl.ts"
import * as RetryPolicy from "../RetryPolicy.ts"
import type { Znode } from "../Znode.ts"
import * as ZnodePath from "../ZnodePath.ts"
import { type OperationError, ZooKeeper } from "../ZooKeeper.ts"
import { BadArguments, type InvalidData, type NoAuth, NoInstances, type NotEmpty } from "../ZooKeeperError.ts"
import { component, uuid } from "./internal/Identifier.ts"
import * as InstanceCodec from "./internal/InstanceCodec.ts"
import { isPassing } from "./internal/Perseverance.ts"
import * as PersistentNode from "./PersistentNode.ts"
import * as TreeCache from "./TreeCache.ts"

/**
 * How long an instance is registered.
 *
 * - `DYNAMIC`: as long as its scope and its session; a crash ends it
 * - `DYNAMIC_SEQUENTIAL`: likewise, in a znode whose name gets a number; the
 *   registration's `path` tells it
 * - `STATIC`: as long as its scope; a crash leaves it behind
 * - `PERMANENT`: until somebody unregisters it
 *
 * @category models
 * @since 0.1.0
 */
export type ServiceType = "DYNAMIC" | "DYNAMIC_SEQUENTIAL" | "STATIC" | "PERMANENT"

/**
 * How a URI is made of an instance. See {@link uriSpec}.
 *
 * @category models
 * @since 0.1.0
 */
export interface UriSpec {
  readonly parts: ReadonlyArray<{ readonly value: string; readonly variable: boolean }>
}

/**
 * An instance of a service.
 *
 * @category models
 * @since 0.1.0
 */
export interface ServiceInstance<P> {
  /** Of the service. */
  readonly name: string
  /** Of this instance, unique in the service. */
  readonly id: string
  readonly address: string | undefined
  readonly port: number | undefined
  readonly sslPort: number | undefined
  readonly payload: P | undefined
  /** When it was registered, in ms since the epoch, by its own clock. */
  readonly registrationTimeUTC: number
  readonly serviceType: ServiceType
  readonly uriSpec: UriSpec | undefined
  /** Whether it wants to be used. */
  readonly enabled: boolean
}

/**
 * What is registered.
 *
 * @category models
 * @since 0.1.0
 */
export interface RegisterOptions<P> {
  /** Of the service. */
  readonly name: string
  /**
   * Unique in the service: an instance that has it already is replaced. Only
   * `DYNAMIC_SEQUENTIAL` ones may share one, each in another client.
   *
   * @default a UUID
   */
  readonly id?: string | undefined
  readonly address?: string | undefined
  readonly port?: number | undefined
  readonly sslPort?: number | undefined
  readonly payload?: P | undefined
  /** @default "DYNAMIC" */
  readonly serviceType?: ServiceType | undefined
  readonly uriSpec?: UriSpec | undefined
  /** @default true */
  readonly enabled?: boolean | undefined
  /** @default the layer's `defaultAcl` */
  readonly acl?: ReadonlyArray<Acl> | undefined
}

/**
 * How a registration can fail. `InvalidData`: the payload cannot be encoded.
 *
 * @category errors
 * @since 0.1.0
 */
export type RegisterError = PersistentNode.PersistentNodeError | InvalidData

/**
 * What of an instance can be changed while it is registered.
 *
 * @category models
 * @since 0.1.0
 */
export interface InstanceUpdate<P> {
  readonly address?: string | undefined
  readonly port?: number | undefined
  readonly sslPort?: number | undefined
  readonly payload?: P | undefined
  readonly uriSpec?: UriSpec | undefined
  readonly enabled?: boolean | undefined
}

/**
 * An instance that is registered as long as its scope lives.
 *
 * @category models
 * @since 0.1.0
 */
export interface Registration<P> {
  /** Its znode, with the number where it has one. */
  readonly path: string
  /** As it was last to be registered, by an update that was not refused. */
  readonly instance: Effect.Effect<ServiceInstance<P>>
  /** Replaces what is given and keeps the rest; completes when it is written. Interruption does not take it back. */
  readonly update: (changes: InstanceUpdate<P>) => Effect.Effect<ServiceInstance<P>, RegisterError>
  /** Fails when the registration is given up; never completes otherwise. */
  readonly failure: Effect.Effect<never, PersistentNode.PersistentNodeError>
}

/**
 * How a provider chooses among the instances.
 *
 * @category models
 * @since 0.1.0
 */
export interface ProviderOptions<P> {
  /**
   * - `"roundRobin"`: one after the other
   * - `"random"`: by Effect's `Random`
   * - `"sticky"`: a random one, and that one as long as it can be had
   *
   * @default "roundRobin"
   */
  readonly strategy?: "roundRobin" | "random" | "sticky" | undefined
  /** Which instances may be chosen, besides being enabled. @default all */
  readonly filter?: ((instance: ServiceInstance<P>) => boolean) | undefined
  /** An instance with so many errors noted, 1 or more, is not chosen… @default 2 */
  readonly downAfter?: number | undefined
  /** … until its errors are this old. @default "30 seconds" */
  readonly downFor?: Duration.Input | undefined
}

/**
 * Chooses instances of one service.
 *
 * @category models
 * @since 0.1.0
 */
export interface Provider<P> {
  /** The next instance. Asks nobody: the provider follows the service. */
  readonly get: Effect.Effect<ServiceInstance<P>, NoInstances>
  /** All instances that may be chosen, in the order of their registration. */
  readonly all: Effect.Effect<ReadonlyArray<ServiceInstance<P>>>
  /** Notes that an instance could not be reached. */
  readonly noteError: (instance: ServiceInstance<P>) => Effect.Effect<void>
}

/**
 * Services under one path. Needs no scope of its own: each operation takes the
 * `ZooKeeper` that it is run with.
 *
 * @category models
 * @since 0.1.0
 */
export interface ServiceRegistry<P> {
  readonly basePath: string
  /**
   * Registers an instance as long as the scope lives (`PERMANENT` ones stay), and
   * returns when it is there. Failure and interruption leave nothing behind.
   */
  readonly register: (
    options: RegisterOptions<P>
  ) => Effect.Effect<Registration<P>, RegisterError, ZooKeeper | Scope.Scope>
  /**
   * Deletes an instance, whoever has registered it, by its id or by the name of
   * its znode: `DYNAMIC_SEQUENTIAL` ones as well, all that have the id, which
   * Curator does not find. One whose registration still lives comes back. Where
   * it is not there nothing happens.
   */
  readonly unregister: (
    name: string,
    id: string
  ) => Effect.Effect<void, NoAuth | NotEmpty | OperationError, ZooKeeper>
  /** Names of the services, with instances or without. */
  readonly names: Effect.Effect<ReadonlyArray<string>, NoAuth | OperationError, ZooKeeper>
  /** All instances of a service now, in the order of their registration. */
  readonly instances: (
    name: string
  ) => Effect.Effect<ReadonlyArray<ServiceInstance<P>>, NoAuth | OperationError, ZooKeeper>
  /** All instances of a service now, then whenever they have changed. */
  readonly changes: (
    name: string
  ) => Stream.Stream<ReadonlyArray<ServiceInstance<P>>, TreeCache.TreeCacheError, ZooKeeper>
  /** Follows a service as long as the scope lives, and chooses among its instances. */
  readonly provider: (
    name: string,
    options?: ProviderOptions<P>
  ) => Effect.Effect<Provider<P>, TreeCache.TreeCacheError, ZooKeeper | Scope.Scope>
}

/**
 * How a registry writes.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /**
   * The Java class of object payloads, written as their first member `@class`:
   * Java services cannot read an object without it as an instance of a class.
   *
   * @default none
   */
  readonly payloadClass?: string | undefined
}

const variable = /\{([^{}]*)\}/g

/**
 * A URI with variables in braces: `scheme` (`https` where there is an SSL port),
 * `name`, `id`, `address`, `port`, `ssl-port`, `registration-time-utc`,
 * `service-type`; `[` and `]` stand for the braces themselves.
 *
 * @example
 * ```ts
 * import * as ServiceRegistry from "effect-zookeeper/recipe/ServiceRegistry"
 *
 * export const spec = ServiceRegistry.uriSpec("{scheme}://{address}:{port}/")
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const uriSpec = (template: string): UriSpec => {
  const parts: Array<UriSpec["parts"][number]> = []
  let from = 0
  for (const match of template.matchAll(variable)) {
    if (match.index > from) parts.push({ value: template.slice(from, match.index), variable: false })
    parts.push({ value: (match[1] ?? "").trim(), variable: true })
    from = match.index + match[0].length
  }
  if (from < template.length) parts.push({ value: template.slice(from), variable: false })
  return { parts }
}

/**
 * The URI of an instance by its `uriSpec`; `None` where it has none. Variables
 * that the instance does not have, or that are unknown, are empty.
 *
 * @example
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as Option from "effect/Option"
 * import * as Schema from "effect/Schema"
 * import * as ServiceRegistry from "effect-zookeeper/recipe/ServiceRegistry"
 *
 * const registry = ServiceRegistry.make("/services", Schema.String)
 *
 * export const program = Effect.scoped(Effect.gen(function*() {
 *   const { instance } = yield* registry.register({
 *     name: "mail",
 *     address: "10.0.0.1",
 *     port: 8025,
 *     payload: "blue",
 *     uriSpec: ServiceRegistry.uriSpec("{scheme}://{address}:{port}/mail")
 *   })
 *   return ServiceRegistry.uriOf(yield* instance) // => Option.some("http://10.0.0.1:8025/mail")
 * }))
 * ```
 *
 * @category accessors
 * @since 0.1.0
 */
export const uriOf = <P>(instance: ServiceInstance<P>): Option.Option<string> => {
  if (instance.uriSpec === undefined) return Option.none()
  const values: { readonly [name: string]: string | number | undefined } = {
    scheme: instance.sslPort === undefined ? "http" : "https",
    name: instance.name,
    id: instance.id,
    address: instance.address,
    port: instance.port,
    "ssl-port": instance.sslPort,
    "registration-time-utc": instance.registrationTimeUTC,
    "service-type": instance.serviceType.toLowerCase(),
    "[": "{",
    "]": "}"
  }
  return Option.some(instance.uriSpec.parts.map((part) => part.variable ? values[part.value] ?? "" : part.value).join(""))
}

const kept = {
  DYNAMIC: { mode: "ephemeral" },
  DYNAMIC_SEQUENTIAL: { mode: "ephemeralSequential", protected: false },
  STATIC: { mode: "persistent" },
  PERMANENT: { mode: "persistent", onClose: "keep" }
} as const satisfies { readonly [Type in ServiceType]: PersistentNode.Options }

const childrenOf = (path: string): Effect.Effect<ReadonlyArray<string>, NoAuth | OperationError, ZooKeeper> =>
  ZooKeeper.use((zk) => Effect.catchTag(zk.getChildren(path), "NoNode", () => Effect.succeed<Array<string>>([])))

/**
 * A registry under a base path, with a Schema for payloads: `Schema.String` for
 * plain text, `Schema.Unknown` for anything.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = <P>(
  basePath: string,
  payload: Schema.Codec<P, unknown>,
  options: Options = {}
): ServiceRegistry<P> => {
  const codec = InstanceCodec.make(payload, options.payloadClass)
  const servicePath = (name: string) =>
    Effect.andThen(
      ZnodePath.validate(basePath),
      Effect.map(component("name", name), (name) => ZnodePath.join(basePath, name))
    )

  /** Decodes what changes, once; what cannot be decoded is told, once. */
  const decoding = () => {
    let known = new Map<string, { readonly mzxid: bigint; readonly instance: ServiceInstance<P> | undefined }>()
    return (nodes: Iterable<readonly [string, Znode]>): Effect.Effect<ReadonlyArray<ServiceInstance<P>>> =>
      Effect.gen(function*() {
        const now: typeof known = new Map()
        const found: Array<{ readonly czxid: bigint; readonly instance: ServiceInstance<P> }> = []
        for (const [path, { data, stat }] of nodes) {
          const before = known.get(path)
          const instance = before?.mzxid === stat.mzxid
            ? before.instance
            : yield* Effect.catch(codec.decode(path, data), (error) =>
              Effect.as(
                Effect.logWarning("A service instance is left out").pipe(
                  Effect.annotateLogs({ reason: error.message })
                ),
                undefined
              ))
          now.set(path, { mzxid: stat.mzxid, instance })
          if (instance !== undefined) found.push({ czxid: stat.czxid, instance })
        }
        known = now
        return found.toSorted((a, b) => a.czxid < b.czxid ? -1 : 1).map(({ instance }) => instance)
      })
  }

  /** Java reads what is no whole number as an error, or as none. */
  const checkPorts = ({ port, sslPort }: InstanceUpdate<P>) =>
    Effect.forEach(Object.entries({ port, sslPort }), ([argument, value]) =>
      value === undefined || Number.isInteger(value) && value >= 0 && value <= 65_535
        ? Effect.void
        : Effect.fail(
          new BadArguments({ argument, value: String(value), problem: "must be a whole number, 0 to 65535" })
        ), { discard: true })

  const register = Effect.fnUntraced(function*(
    options: RegisterOptions<P>
  ): Effect.fn.Return<Registration<P>, RegisterError, ZooKeeper | Scope.Scope> {
    const parent = yield* servicePath(options.name)
    const id = yield* component("id", options.id ?? (yield* uuid))
    const path = ZnodePath.join(parent, id)
    yield* checkPorts(options)
    const serviceType = options.serviceType ?? "DYNAMIC"
    let instance: ServiceInstance<P> = {
      name: options.name,
      id,
      address: options.address,
      port: options.port,
      sslPort: options.sslPort,
      payload: options.payload,
      registrationTimeUTC: yield* Clock.currentTimeMillis,
      serviceType,
      uriSpec: options.uriSpec,
      enabled: options.enabled ?? true
    }
    const node = yield* PersistentNode.make(path, yield* codec.encode(path, instance), {
      ...kept[serviceType],
      acl: options.acl,
      existing: "replace"
    })
    let written = instance
    return {
      path: node.path,
      instance: Effect.sync(() => instance),
      update: (changes) =>
        Effect.gen(function*() {
          yield* checkPorts(changes)
          const next = { ...instance, ...changes, enabled: changes.enabled ?? instance.enabled }
          const bytes = yield* codec.encode(path, next)
          // As the node does, which goes on with it though its caller be interrupted.
          instance = next
          yield* Effect.tapError(node.set(bytes), () => Effect.sync(() => void (instance = written)))
          return written = next
        }),
      failure: node.failure
    }
  })

  const instances = (name: string): Effect.Effect<
    ReadonlyArray<ServiceInstance<P>>,
    NoAuth | OperationError,
    ZooKeeper
  > =>
    Effect.gen(function*() {
      const zk = yield* ZooKeeper
      const parent = yield* servicePath(name)
      const paths = (yield* childrenOf(parent)).map((id) => ZnodePath.join(parent, id))
      const read = yield* zk.getMany(paths)
      return yield* decoding()(read.flatMap((znode, index) => {
        const path = paths[index]
        return path === undefined || Result.isFailure(znode) ? [] : [[path, znode.success] as const]
      }))
    })

  /** The service's own znode is no instance. */
  const follow = Effect.fnUntraced(function*(name: string) {
    const parent = yield* servicePath(name)
    const cache = yield* TreeCache.make(parent, { maxDepth: 1 })
    const decode = decoding()
    const instancesOf = (nodes: ReadonlyMap<string, Znode>) => decode([...nodes].filter(([path]) => path !== parent))
    return { cache, instancesOf }
  })

  const provider = Effect.fnUntraced(function*(
    name: string,
    options: ProviderOptions<P> = {}
  ): Effect.fn.Return<Provider<P>, TreeCache.TreeCacheError, ZooKeeper | Scope.Scope> {
    const { downAfter = 2, filter = () => true, strategy = "roundRobin" } = options
    if (!(downAfter >= 1)) {
      return yield* new BadArguments({ argument: "downAfter", value: String(downAfter), problem: "must be at least 1" })
    }
    const downFor = Duration.toMillis(options.downFor ?? "30 seconds")
    const { cache, instancesOf } = yield* follow(name)
    let known = yield* Effect.flatMap(cache.snapshot, instancesOf)
    yield* Effect.forkScoped(Effect.ignore(Stream.runForEach(cache.states, (nodes) =>
      Effect.map(instancesOf(nodes), (now) => {
        known = now
      }))))

    /** When errors were noted, by id. */
    const errors = new Map<string, ReadonlyArray<number>>()
    const recent = (id: string, now: number) => (errors.get(id) ?? []).filter((at) => now - at < downFor)
    const all = Effect.map(Clock.currentTimeMillis, (now) =>
      known.filter((instance) => instance.enabled && recent(instance.id, now).length < downAfter && filter(instance)))

    let next = -1
    let chosen: string | undefined
    const choose = (usable: ReadonlyArray<ServiceInstance<P>>) =>
      Effect.map(Random.nextIntBetween(0, usable.length, { halfOpen: true }), (index) => usable[index])

    return {
      all,
      get: Effect.gen(function*() {
        const usable = yield* all
        if (usable.length === 0) return yield* new NoInstances({ service: name })
        const sticking = strategy === "sticky" ? usable.find(({ id }) => id === chosen) : undefined
        const instance = strategy === "roundRobin"
          ? usable[next = (next + 1) % usable.length]
          : sticking ?? (yield* choose(usable))
        if (instance === undefined) return yield* new NoInstances({ service: name })
        chosen = instance.id
        return instance
      }),
      noteError: ({ id }) =>
        Effect.map(Clock.currentTimeMillis, (now) => {
          // Those that have gone are not kept.
          for (const other of [...errors.keys()]) if (recent(other, now).length === 0) errors.delete(other)
          errors.set(id, [...recent(id, now), now].slice(-downAfter))
        })
    }
  })

  return {
    basePath,
    register,
    unregister: (name, id) =>
      Effect.gen(function*() {
        const zk = yield* ZooKeeper
        const parent = yield* servicePath(name)
        const own = yield* component("id", id)
        const remove = (path: string) => Effect.catchTag(zk.delete(path), ["NoNode", "BadVersion"], () => Effect.void)
        yield* remove(ZnodePath.join(parent, own))
        yield* zk.sync(parent)
        const numbered = (yield* childrenOf(parent))
          .filter((child) => Option.isSome(ZnodePath.sequenceOf(child, own)))
          .map((child) => ZnodePath.join(parent, child))
        const read = yield* zk.getMany(numbered)
        for (const [index, path] of numbered.entries()) {
          const znode = read[index]
          if (znode === undefined || Result.isFailure(znode)) continue
          // The number may be a part of another one's id.
          if (Option.contains(yield* codec.idOf(znode.success.data), own)) yield* remove(path)
        }
      }).pipe(
        // Deleting twice does no harm.
        Effect.retry({ while: isPassing, schedule: RetryPolicy.command })
      ),
    names: childrenOf(basePath),
    instances,
    changes: (name) =>
      Stream.unwrap(Effect.map(follow(name), ({ cache, instancesOf }) =>
        cache.states.pipe(
          Stream.mapEffect(instancesOf),
          // Of an instance that has not changed the value is the same.
          Stream.changesWith(Arr.makeEquivalence<ServiceInstance<P>>(Object.is))
        ))),
    provider
  }
}
