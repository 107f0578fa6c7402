/**
 * A number of permits that holders take and give back, in the order in which
 * they came.
 *
 * Who wants permits queues for a guard lock; who has the guard waits until there
 * is room, then creates a znode per permit in transactions that require the
 * guard, so that permits are never exceeded, not even by a client that slept.
 * Whoever wants many permits holds up those behind it and is not overtaken.
 *
 * **Guarantee.** There are never more permits out than `permits`, counting those
 * whose holder has not been heard of until its session expires. Each permit is a
 * grant in the sense of `Grant`: lost with its session, deadline included. As
 * there are several holders a token orders them and excludes none: `guard` is what
 * refuses a write of one whose permit is lost. Every other child of the permits'
 * directory counts as a permit too. Waiting ends as that of `Lock` does, and leaves
 * nothing behind.
 *
 * Follows kazoo's `Semaphore` (`layout: "kazoo"`, the default: the limit is kept
 * in the znode, and who differs is refused) or Curator's `InterProcessSemaphoreV2`
 * (`"curator"`: nobody keeps the limit, so all must agree on it).
 *
 * @example
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as Semaphore from "effect-zookeeper/recipe/Semaphore"
 *
 * export const program = Effect.gen(function*() {
 *   const licences = yield* Semaphore.make("/licences", { permits: 5 })
 *   yield* licences.withPermits(2)(Effect.log("two of five are ours"))
 * })
 * ```
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import type { Acl } from "../Acl.ts"
import * as Acquisition from "../client/Acquisition.ts"
import * as Uuid from "../client/Uuid.ts"
import * as ZnodePath from "../ZnodePath.ts"
import { type CreateError, type Data, type OperationError, ZooKeeper } from "../ZooKeeper.ts"
import { BadArguments, type NoAuth, type NodeExists } from "../ZooKeeperError.ts"
import type * as Grant from "./Grant.ts"
import * as Contention from "./internal/Contention.ts"
import * as Grants from "./internal/Grants.ts"
import * as Layouts from "./internal/Layout.ts"
import * as OwnZnode from "./internal/OwnZnode.ts"
import * as Reentrancy from "./internal/Reentrancy.ts"
import * as Removal from "./internal/Removal.ts"
import type * as Lock from "./Lock.ts"

/**
 * Others use the semaphore with another number of permits. Agree on one; to
 * change it, delete the znode while nobody holds a permit.
 *
 * @category errors
 * @since 0.1.0
 */
export class PermitsDiffer extends Schema.TaggedError<PermitsDiffer>(
  "~effect-zookeeper/recipe/Semaphore/PermitsDiffer"
)("PermitsDiffer", {
  path: Schema.String,
  /** Ours. */
  permits: Schema.Int,
  /** That of the znode: infinite where it is too large for a number. */
  found: Schema.Number
}) {
  override get message() {
    return `${this.path} has ${this.found} permits, not ${this.permits}: agree on one number`
  }
}

/**
 * What taking permits can fail with, beside the deadline.
 *
 * @category errors
 * @since 0.1.0
 */
export type SemaphoreError = Grant.AcquireError | PermitsDiffer

/**
 * Options of a semaphore.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options extends Grant.Options {
  /** How many there are: 1 to 2147483647. */
  readonly permits: number
  /** @default "kazoo" */
  readonly layout?: Lock.Layout | undefined
  /** What the znodes hold, for others to see. @default empty */
  readonly identifier?: Data | undefined
  /** Of the znodes, and of missing parents. @default the layer's `defaultAcl` */
  readonly acl?: ReadonlyArray<Acl> | undefined
}

/**
 * Options of one acquisition.
 *
 * @category models
 * @since 0.1.0
 */
export interface AcquireOptions extends Grant.AcquireOptions {
  /** How many permits to take, all at once: 1 to `permits`. @default 1 */
  readonly permits?: number | undefined
}

/**
 * Somebody who holds a permit: one for each permit.
 *
 * @category models
 * @since 0.1.0
 */
export interface Holder {
  readonly path: string
  readonly identifier: Uint8Array
  readonly sessionId: bigint
  readonly token: bigint
}

/**
 * A semaphore.
 *
 * @category models
 * @since 0.1.0
 */
export interface Semaphore {
  readonly path: string
  readonly permits: number
  /** Takes so many permits, runs, gives them back. The effect is interrupted when one of them is lost. */
  readonly withPermits: (permits: number, options?: Grant.AcquireOptions) => <A, E, R>(
    effect: Lock.Protected<A, E, R>
  ) => Effect.Effect<A, E | SemaphoreError | Grant.AcquireTimeout | Grant.GrantLost, R>
  /** Held until the scope closes. Several permits are one grant, lost with the first of them. */
  readonly acquire: (
    options?: AcquireOptions
  ) => Effect.Effect<Grant.Grant, SemaphoreError | Grant.AcquireTimeout, Scope.Scope>
  /**
   * Held until the scope closes, if there is room and nobody is before us; does
   * not wait. `None` also where somebody is taking a permit at this moment.
   */
  readonly tryAcquire: (
    options?: Pick<AcquireOptions, "permits">
  ) => Effect.Effect<Option.Option<Grant.Grant>, SemaphoreError, Scope.Scope>
  /** Who holds permits, in no particular order. The connected server's view, which may be late. */
  readonly holders: Effect.Effect<ReadonlyArray<Holder>, NoAuth | OperationError>
}

const decoder = new TextDecoder()

/** Python's repr of a bytes object, which kazoo writes as the identifier of the guard's contender. */
const reprOf = (data: Data): string => {
  const bytes = typeof data === "string" ? new TextEncoder().encode(data) : data
  if (bytes.length === 0) return ""
  const quote = bytes.includes(0x27) && !bytes.includes(0x22) ? `"` : "'"
  const body = Array.from(bytes, (byte) => {
    const character = String.fromCharCode(byte)
    if (character === quote || character === "\\") return `\\${character}`
    if (byte === 0x09) return "\\t"
    if (byte === 0x0a) return "\\n"
    if (byte === 0x0d) return "\\r"
    return byte >= 0x20 && byte < 0x7f ? character : `\\x${byte.toString(16).padStart(2, "0")}`
  }).join("")
  return `b${quote}${body}${quote}`
}

const countProblem = (argument: string, value: number, largest: number): BadArguments | undefined =>
  Number.isSafeInteger(value) && value >= 1 && value <= largest
    ? undefined
    : new BadArguments({ argument, value: String(value), problem: `must be a whole number, 1 to ${largest}` })

/**
 * The semaphore on a path. Nothing is sent yet.
 *
 * Fails with `BadArguments` where the path or the number of permits is malformed.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.fnUntraced(function*(
  path: string,
  options: Options
): Effect.fn.Return<Semaphore, BadArguments, ZooKeeper> {
  const zk = yield* ZooKeeper
  yield* ZnodePath.validate(path)
  const { acl, identifier = "", layout = "kazoo", permits } = options
  const problem = path === "/"
    ? new BadArguments({ argument: "path", value: path, problem: "the root cannot be a semaphore" })
    : countProblem("permits", permits, 0x7fff_ffff)
  if (problem !== undefined) return yield* problem

  const leases = layout === "kazoo" ? path : `${path}/leases`
  const marker = Layouts.markers[layout].lock
  const guarding: Contention.Contention = {
    parent: layout === "kazoo" ? `${path}-__lock__` : `${path}/locks`,
    layout,
    marker,
    markers: [marker],
    data: layout === "kazoo" ? reprOf(identifier) : identifier,
    acl,
    blocker: (ahead) => ahead.at(-1)
  }

  /** kazoo's: whoever creates the znode says how many there are. */
  const agree: Effect.Effect<void, PermitsDiffer | Exclude<CreateError, NodeExists>> = Removal.persist(
    Effect.catchTag(
      Effect.asVoid(zk.create(path, String(permits), { acl, makeParents: true })),
      "NodeExists",
      () =>
        Effect.flatMap(zk.get(path), ({ data }) => {
          const text = decoder.decode(data).trim()
          // What is no number is nobody's limit.
          return /^[+-]?\d+$/.test(text) && Number(text) !== permits
            ? Effect.fail(new PermitsDiffer({ path, permits, found: Number(text) }))
            : Effect.void
        })
    )
  )

  /** One permit, which cannot come about once the guard is lost. */
  const take = (guard: Grant.Grant) =>
    Effect.gen(function*() {
      const prefix = Layouts.prefix(layout, yield* Uuid.next)
      const own = yield* OwnZnode.make(zk, {
        parent: leases,
        prefix,
        name: layout === "kazoo" ? "" : "lease-",
        data: identifier,
        mode: layout === "kazoo" ? "ephemeral" : "ephemeralSequential",
        acl,
        createWith: OwnZnode.underGrant(zk, guard)
      })
      return yield* Grants.make(zk, own, options)
    })

  /** Whether there is room, or has come to be; only who has the guard waits here. */
  const room = (wanted: number, guard: Grant.Grant, waits: boolean, millis: number) =>
    Effect.gen(function*() {
      while (true) {
        const hasRoom = yield* Effect.scoped(Effect.gen(function*() {
          const { changed, count } = yield* Removal.persist(
            waits
              ? Effect.map(zk.getChildrenAndWatch(leases), ({ event, value }) => ({
                count: value.children.length,
                changed: Effect.asVoid(event)
              }))
              : Effect.map(zk.getChildren(leases), ({ length }) => ({ count: length, changed: Effect.void }))
          )
          if (count + wanted <= permits) return true
          if (waits) yield* guard.protect(Effect.timeoutOption(changed, millis))
          return false
        })).pipe(
          // Who takes the first one makes it.
          Effect.catchTag("NoNode", () => Effect.succeed(true))
        )
        if (hasRoom || !waits) return hasRoom
      }
    })

  type Outcome = Option.Option<Grant.Grant> | "Again"

  const attempt = (wanted: number, waits: boolean): Effect.Effect<Outcome, SemaphoreError, Scope.Scope> =>
    Effect.gen(function*() {
      const outer = yield* Effect.scope
      yield* layout === "kazoo" ? agree : Effect.void
      return yield* Effect.scoped(Effect.gen(function*() {
        const guard = waits
          ? Option.some(yield* Effect.catchTag(Contention.acquire(zk, guarding), "AcquireTimeout", () => Effect.never))
          : yield* Contention.tryAcquire(zk, guarding)
        if (Option.isNone(guard)) return Option.none()
        const { timeout } = yield* zk.session
        const hasRoom = yield* room(wanted, guard.value, waits, timeout)
        if (!hasRoom) return Option.none()
        const first = yield* Scope.provide(take(guard.value), outer)
        const others = yield* Effect.forEach(
          Array.from({ length: wanted - 1 }),
          () => Scope.provide(take(guard.value), outer)
        )
        return Option.some(Grants.all([first, ...others]))
      })).pipe(
        Effect.catchTags({
          GrantLost: () => Effect.succeed("Again" as const),
          // The name of a permit is unique.
          NodeExists: (error) => Effect.die(error)
        })
      )
    }).pipe(
      // In the next session, if there is to be one.
      Effect.catchIf(OwnZnode.isExpired, () => Effect.as(zk.session, "Again" as const))
    )

  const acquireWith = (
    wanted: number,
    waits: boolean
  ): Effect.Effect<Option.Option<Grant.Grant>, SemaphoreError, Scope.Scope> =>
    Effect.gen(function*() {
      while (true) {
        const outcome = yield* Acquisition.keepingIf(
          attempt(wanted, waits),
          (each) => each !== "Again" && Option.isSome(each)
        )
        if (outcome !== "Again") return outcome
      }
    })

  const counted = <A, E, R>(wanted: number, effect: Effect.Effect<A, E, R>): Effect.Effect<A, E | BadArguments, R> => {
    const wrong = countProblem("permits", wanted, permits)
    return wrong === undefined ? effect : Effect.fail(wrong)
  }
  const wish = (weight: number): Reentrancy.Wanted => ({ zk, path, weight, limit: permits })

  const acquire: Semaphore["acquire"] = ({ permits: wanted = 1, timeout } = {}) =>
    counted(
      wanted,
      Reentrancy.acquire(
        wish(wanted),
        Contention.within(Effect.map(acquireWith(wanted, true), Option.getOrThrow), path, timeout)
      )
    )

  return {
    path,
    permits,
    acquire,
    tryAcquire: ({ permits: wanted = 1 } = {}) => 
      counted(wanted, Reentrancy.tryAcquire(wish(wanted), acquireWith(wanted, false))),
    withPermits: (wanted, acquireOptions) => (effect) =>
      Reentrancy.hold(acquire({ ...acquireOptions, permits: wanted }), effect),
    holders: Effect.gen(function*() {
      const names = yield* Effect.catchTag(zk.getChildren(leases), "NoNode", () => Effect.succeed([]))
      const paths = names.map((name) => ZnodePath.join(leases, name))
      const read = yield* zk.getMany(paths)
      return read.flatMap((znode, index) =>
        znode._tag === "Success"
          ? [{
            path: paths[index] ?? "",
            identifier: znode.success.data,
            sessionId: znode.success.stat.ephemeralOwner,
            token: znode.success.stat.czxid
          }]
          : [])
    })
  }
})
