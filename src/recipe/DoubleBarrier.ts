/**
 * A barrier with two sides: everybody waits until a number of members are in,
 * and at the end until all of them have left. As kazoo's `DoubleBarrier` and
 * Curator's `DistributedDoubleBarrier` keep it.
 *
 * **Guarantee.** Nobody comes out of `enter` before `members` distinct members
 * were in at one moment. A `ready` znode that is left over lets nobody through,
 * nor do members of the round before that are still leaving. Nobody comes out of
 * `leave` before all that were in have left, or their sessions have ended. Both
 * survive reconnects; `enter` goes on in a new session. Among kazoo's or
 * Curator's members this holds as far as those keep it: they count whatever is
 * there, and their `ready` is believed.
 *
 * @example
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as DoubleBarrier from "effect-zookeeper/recipe/DoubleBarrier"
 *
 * export const together = Effect.gen(function*() {
 *   const barrier = yield* DoubleBarrier.make("/computation", { members: 3 })
 *   yield* barrier.withMembers(Effect.log("all three are here")).pipe(Effect.timeout("1 minute"))
 * })
 * ```
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Scope from "effect/Scope"
import * as Transaction from "../Transaction.ts"
import type { Stat } from "../Znode.ts"
import * as ZnodePath from "../ZnodePath.ts"
import { type CreateError, ZooKeeper } from "../ZooKeeper.ts"
import { BadArguments } from "../ZooKeeperError.ts"
import * as Uuid from "../client/Uuid.ts"
import { held, uniqueName } from "./internal/Ephemeral.ts"
import * as Removal from "./internal/Removal.ts"
import { awaiting, repeating } from "./internal/Retrying.ts"

/**
 * What entering and leaving can fail with. The own znode is removed then.
 *
 * @category errors
 * @since 0.1.0
 */
export type BarrierError = Exclude<CreateError, { readonly _tag: "NodeExists" }>

/**
 * Being in.
 *
 * @category models
 * @since 0.1.0
 */
export interface Membership {
  /** The own znode. */
  readonly path: string
  /**
   * Waits until all members have left. Interruption and failure leave at once,
   * without waiting.
   */
  readonly leave: Effect.Effect<void, BarrierError>
}

/**
 * A double barrier.
 *
 * @category models
 * @since 0.1.0
 */
export interface DoubleBarrier {
  readonly path: string
  /**
   * Waits until enough members are in. Give it a deadline with `Effect.timeout`:
   * who is interrupted is no member any more. So is who closes the scope without
   * `leave`, and then nobody waits for anybody.
   */
  readonly enter: Effect.Effect<Membership, BarrierError, Scope.Scope>
  /** Enters, runs the effect, and leaves. Where it fails or is interrupted, leaves without waiting for the others. */
  readonly withMembers: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E | BarrierError, R>
}

/**
 * Options of a double barrier.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** How many must be in: at least 1. The same for everybody. */
  readonly members: number
  /** The data of the own znode, for people to read. @default empty */
  readonly identifier?: string | undefined
  /** Own names of 32 hex digits, or with dashes as a UUID. @default "kazoo" */
  readonly layout?: "kazoo" | "curator" | undefined
}

/**
 * The double barrier at a path, which is created by the first use. Fails with
 * `BadArguments` where an argument is malformed.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.fnUntraced(function*(
  path: string,
  { identifier = "", layout = "kazoo", members }: Options
): Effect.fn.Return<DoubleBarrier, BadArguments, ZooKeeper> {
  const zk = yield* ZooKeeper
  yield* ZnodePath.validate(path)
  if (!Number.isSafeInteger(members) || members < 1) {
    return yield* new BadArguments({ argument: "members", value: String(members), problem: "must be at least 1" })
  }
  const ready = ZnodePath.join(path, "ready")

  /** Who is there now, by name. */
  const stats: Effect.Effect<ReadonlyMap<string, Stat>, BarrierError> = Effect.gen(function*() {
    const names = (yield* repeating(zk, zk.getChildren(path))).filter((name) => name !== "ready")
    const reads = yield* repeating(zk, zk.getMany(names.map((name) => ZnodePath.join(path, name))))
    return new Map(names.flatMap((name, index) => {
      const read = reads[index]
      return read !== undefined && Result.isSuccess(read) ? [[name, read.success.stat]] : []
    }))
  })

  /** Lets everybody in: always a new znode, since an old one lets nobody in. */
  const announce = (isStale: boolean): Effect.Effect<void, BarrierError> =>
    repeating(
      zk,
      zk.transaction([...isStale ? [Transaction.remove(ready)] : [], Transaction.create(ready)])
    ).pipe(
      Effect.asVoid,
      Effect.catchTag("TransactionFailed", ({ error }) => {
        switch (error._tag) {
          // Another member has announced it, or this is a repetition.
          case "NodeExists":
          case "NoNode":
            return Effect.void
          case "BadVersion":
          case "NotEmpty":
            return Effect.die(error)
          default:
            return Effect.fail(error)
        }
      })
    )

  /** Waits until enough are in, and returns who they are. */
  const waitForAll = (name: string): Effect.Effect<ReadonlySet<string>, BarrierError> =>
    Effect.gen(function*() {
      const own = ZnodePath.join(path, name)
      let since: bigint | undefined
      while (true) {
        const { czxid } = yield* held(zk, own, identifier)
        since ??= czxid
        const entered = since
        const round = yield* Effect.scoped(Effect.gen(function*() {
          const { event, value } = yield* repeating(zk, zk.existsAndWatch(ready))
          const present = yield* stats
          if (Option.isSome(value) && value.value.czxid > entered) {
            const { czxid } = value.value
            return Array.from(present).filter(([each, stat]) => each === name || stat.czxid < czxid)
          }
          // Who has written to its znode is leaving.
          const entering = Array.from(present).filter(([, { version }]) => version === 0)
          if (present.has(name) && entering.length >= members) {
            yield* announce(Option.isSome(value))
            return entering
          }
          if (present.has(name)) yield* awaiting(zk, event)
          return undefined
        }))
        if (round !== undefined) return new Set(round.map(([each]) => each)).add(name)
      }
    })

  const remove = (at: string): Effect.Effect<void, BarrierError> =>
    repeating(zk, zk.delete(at)).pipe(
      Effect.catchTag("NoNode", () => Effect.void),
      Effect.catchTag(["BadVersion", "NotEmpty"], Effect.die)
    )

  const waitFor = (name: string): Effect.Effect<void, BarrierError> =>
    Effect.scoped(Effect.flatMap(
      repeating(zk, zk.existsAndWatch(ZnodePath.join(path, name))),
      ({ event, value }) => Option.isNone(value) ? Effect.void : awaiting(zk, event)
    ))

  const leave = (name: string, round: ReadonlySet<string>): Effect.Effect<void, BarrierError> =>
    Effect.gen(function*() {
      const own = ZnodePath.join(path, name)
      // From now on it does not count for the next round.
      yield* repeating(zk, zk.set(own, identifier, 0)).pipe(
        Effect.asVoid,
        Effect.catchTag(["NoNode", "BadVersion"], () => Effect.void)
      )
      while (true) {
        const names = yield* repeating(zk, zk.getChildren(path))
        const remaining = names.filter((each) => round.has(each)).toSorted()
        const others = remaining.filter((each) => each !== name)
        const [lowest] = remaining
        const highest = others.at(-1)
        if (highest === undefined) {
          // The last one puts out the light. A member that was cut off could need it until now.
          if (names.every((each) => each === name || each === "ready")) {
            yield* remove(ready)
          }
          return yield* remove(own)
        }
        if (lowest === name) yield* waitFor(highest)
        else {
          yield* remove(own)
          yield* waitFor(lowest ?? highest)
        }
      }
    })

  const enter: DoubleBarrier["enter"] = Effect.gen(function*() {
    const scope = yield* Scope.Scope
    const name = yield* layout === "kazoo" ? uniqueName : Uuid.next
    const own = ZnodePath.join(path, name)
    const withdraw = Removal.inBackground(zk, Removal.untilGone(zk, own))
    yield* repeating(zk, zk.ensurePath(path))
    let isIn = true
    yield* Scope.addFinalizer(scope, Effect.suspend(() => isIn ? withdraw : Effect.void))
    const round = yield* Effect.onError(waitForAll(name), () =>
      Effect.suspend(() => {
        isIn = false
        return withdraw
      }))
    return {
      path: own,
      leave: leave(name, round).pipe(
        Effect.onExit((exit) =>
          Effect.suspend(() => {
            isIn = false
            return exit._tag === "Success" ? Effect.void : withdraw
          })
        )
      )
    }
  })

  return {
    path,
    enter,
    withMembers: (effect) =>
      Effect.scoped(Effect.flatMap(enter, ({ leave }) => Effect.tap(effect, () => leave)))
  }
})
