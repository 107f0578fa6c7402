/**
 * Operations that are applied all together or not at all.
 *
 * @example
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as Transaction from "effect-zookeeper/Transaction"
 * import { ZooKeeper } from "effect-zookeeper/ZooKeeper"
 *
 * export const move = Effect.gen(function*() {
 *   const zk = yield* ZooKeeper
 *   const [created] = yield* zk.transaction([
 *     Transaction.create("/done/1", "result"),
 *     Transaction.remove("/todo/1")
 *   ])
 *   return created
 * })
 * ```
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import type { Acl } from "./Acl.ts"
import type { CreateMode, Stat } from "./Znode.ts"

/**
 * Creates a znode; its result is the path.
 *
 * @category models
 * @since 0.1.0
 */
export interface Create {
  readonly _tag: "Create"
  readonly path: string
  readonly data: Uint8Array | string
  readonly mode: CreateMode
  /** `undefined` for the client's `defaultAcl`. */
  readonly acl: ReadonlyArray<Acl> | undefined
  /** For the TTL modes: 1 ms to 2^40-1 ms. */
  readonly ttl: Duration.Input | undefined
}

/**
 * Deletes a znode.
 *
 * @category models
 * @since 0.1.0
 */
export interface Delete {
  readonly _tag: "Delete"
  readonly path: string
  /** -1 for any. */
  readonly version: number
}

/**
 * Replaces data; its result is the new Stat.
 *
 * @category models
 * @since 0.1.0
 */
export interface SetData {
  readonly _tag: "SetData"
  readonly path: string
  readonly data: Uint8Array | string
  /** -1 for any. */
  readonly version: number
}

/**
 * Requires that a znode exists and has a version.
 *
 * @category models
 * @since 0.1.0
 */
export interface Check {
  readonly _tag: "Check"
  readonly path: string
  /** -1 for any. */
  readonly version: number
}

/**
 * What a transaction may hold.
 *
 * @category models
 * @since 0.1.0
 */
export type Operation = Create | Delete | SetData | Check

/**
 * The result of one operation.
 *
 * @category models
 * @since 0.1.0
 */
export type Result<O extends Operation> = O extends Create ? string : O extends SetData ? Stat : void

/**
 * The results of a transaction, position by position.
 *
 * @category models
 * @since 0.1.0
 */
export type Results<Operations extends ReadonlyArray<Operation>> = {
  readonly [I in keyof Operations]: Result<Operations[I]>
}

/**
 * Creates a znode, by default empty, `"persistent"` and with the client's
 * `defaultAcl`. `makeParents` and `protected` are not to be had here. What makes it
 * fail is what makes `create` of the client fail.
 *
 * @category constructors
 * @since 0.1.0
 */
export const create = (
  path: string,
  data: Uint8Array | string = "",
  options?: {
    readonly mode?: CreateMode | undefined
    readonly acl?: ReadonlyArray<Acl> | undefined
    readonly ttl?: Duration.Input | undefined
  }
): Create => ({
  _tag: "Create",
  path,
  data,
  mode: options?.mode ?? "persistent",
  acl: options?.acl,
  ttl: options?.ttl
})

/**
 * Deletes a znode, of the given version or (-1, the default) of any. Culprit with
 * `NoNode`, `NoAuth`, `BadVersion` or `NotEmpty`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const remove = (path: string, version: number = -1): Delete => ({ _tag: "Delete", path, version })

/**
 * Replaces the data of a znode, of the given version or (-1, the default) of any.
 * Culprit with `NoNode`, `NoAuth`, `BadVersion` or `QuotaExceeded`.
 *
 * @example
 * ```ts
 * import * as Transaction from "effect-zookeeper/Transaction"
 * import { ZooKeeper } from "effect-zookeeper/ZooKeeper"
 *
 * // Writes only while a lock is held and nobody has changed what was read.
 * export const fenced = (lock: string, version: number) =>
 *   ZooKeeper.use((zk) =>
 *     zk.transaction([
 *       Transaction.check(lock),
 *       Transaction.set("/state", "next", version)
 *     ]))
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const set = (path: string, data: Uint8Array | string, version: number = -1): SetData => ({
  _tag: "SetData",
  path,
  data,
  version
})

/**
 * Requires that a znode exists, and has the given version (-1, the default: any).
 * Culprit with `NoNode`, `NoAuth` (it needs `read`) or `BadVersion`. See
 * {@link set} for an example.
 *
 * @category constructors
 * @since 0.1.0
 */
export const check = (path: string, version: number = -1): Check => ({ _tag: "Check", path, version })
