/**
 * Znodes: what a read returns, and the kinds that can be created.
 *
 * @example
 * ```ts
 * import * as Effect from "effect/Effect"
 * import type { CreateOptions } from "effect-zookeeper/Znode"
 * import { ZooKeeper } from "effect-zookeeper/ZooKeeper"
 *
 * const member: CreateOptions = { mode: "ephemeralSequential", makeParents: true }
 *
 * export const program = Effect.gen(function*() {
 *   const zk = yield* ZooKeeper
 *   const path = yield* zk.create("/group/member-", "", member)
 *   const { stat } = yield* zk.get(path)
 *   return stat.ephemeralOwner === (yield* zk.session).id // => true
 * })
 * ```
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import type { Acl } from "./Acl.ts"
import * as Protocol from "./jute/Protocol.ts"

/**
 * What a server tells about a znode.
 *
 * @category models
 * @since 0.1.0
 */
export const Stat = Protocol.Stat

/**
 * What a server tells about a znode.
 *
 * @category models
 * @since 0.1.0
 */
export interface Stat extends Protocol.Stat {}

/**
 * A znode as read.
 *
 * @category models
 * @since 0.1.0
 */
export interface Znode {
  /** Null and absent data read as empty. Small data may share memory with other reads: copy before you write to it. */
  readonly data: Uint8Array
  readonly stat: Stat
}

/**
 * The children of a znode as read.
 *
 * @category models
 * @since 0.1.0
 */
export interface Children {
  /** Names, not paths, in no particular order. */
  readonly children: ReadonlyArray<string>
  /** Of the parent. */
  readonly stat: Stat
}

/**
 * A znode that was created.
 *
 * @category models
 * @since 0.1.0
 */
export interface Created {
  /** With the sequence suffix, where there is one. */
  readonly path: string
  readonly stat: Stat
}

/**
 * The kinds of znodes.
 *
 * - `"persistent"`: stays until it is deleted
 * - `"ephemeral"`: ends with the session that created it; cannot have children
 * - `"…Sequential"`: ten digits are appended to the path, counted by the parent
 * - `"container"`: removed by the server some time after its last child is gone
 * - `"persistentTtl"`: removed after `ttl` without a change and without children
 *
 * @category models
 * @since 0.1.0
 */
export type CreateMode =
  | "persistent"
  | "ephemeral"
  | "persistentSequential"
  | "ephemeralSequential"
  | "container"
  | "persistentTtl"
  | "persistentSequentialTtl"

/**
 * Options of `create`.
 *
 * @category models
 * @since 0.1.0
 */
export interface CreateOptions {
  /** @default "persistent" */
  readonly mode?: CreateMode | undefined
  /** @default the layer's `defaultAcl` */
  readonly acl?: ReadonlyArray<Acl> | undefined
  /** For the TTL modes: 1 ms to 2^40-1 ms. The server must have extended types enabled. */
  readonly ttl?: Duration.Input | undefined
  /** Creates missing parents, persistent and with the same ACL. @default false */
  readonly makeParents?: boolean | undefined
  /**
   * Puts a unique prefix (`_c_<uuid>-`, as Curator does) before the name, so that
   * a create whose reply was lost is found again instead of being made twice.
   *
   * @default false
   */
  readonly protected?: boolean | undefined
}

const flags: { readonly [Mode in CreateMode]: number } = {
  persistent: 0,
  ephemeral: 1,
  persistentSequential: 2,
  ephemeralSequential: 3,
  container: 4,
  persistentTtl: 5,
  persistentSequentialTtl: 6
}

/**
 * The number of a mode on the wire. Source: ZooKeeper's `CreateMode.toFlag`.
 *
 * @example
 * ```ts
 * import * as Znode from "effect-zookeeper/Znode"
 *
 * Znode.flagOf("container") // => 4
 * Znode.isSequential("ephemeralSequential") // => true
 * ```
 *
 * @category accessors
 * @since 0.1.0
 */
export const flagOf = (mode: CreateMode): number => flags[mode]

/**
 * Whether a mode appends a sequence number. See {@link flagOf} for an example.
 *
 * @category predicates
 * @since 0.1.0
 */
export const isSequential = (mode: CreateMode): boolean => mode.includes("Sequential")
