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
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Scope from "effect/Scope"
import * as Telemetry from "../client/Telemetry.ts"
import * as Transaction from "../Transaction.ts"
import * as ZnodePath from "../ZnodePath.ts"
import { type CreateError, ZooKeeper } from "../ZooKeeper.ts"
import { BadArguments, type ConnectionError } from "../ZooKeeperError.ts"
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

/** The version of our znodes; that of a member of kazoo's or Curator's is 0. */
const ours = 1

/** Who was in when enough were. */
interface Round {
  /** By name; with another czxid it is one that came back, for a round to come. */
  readonly members: ReadonlyMap<string, bigint>
  /** We have made `ready`, but somebody had done so before, and may have deleted it already. */
  readonly isLate: boolean
}

interface Look {
  readonly present: ReadonlyMap<string, Member>
  readonly created: number
}

/** Somebody who is there. */
interface Member {
  readonly czxid: bigint
  /** The session that owns it. */
  readonly owner: bigint
  readonly isOurs: boolean
  readonly isLeaving: boolean
}

const czxids = (
  members: ReadonlyMap<string, Member>,
  chosen: (member: Member, name: string) => boolean = () => true
): ReadonlyMap<string, bigint> =>
  new Map(Array.from(members).flatMap(([name, member]) => chosen(member, name) ? [[name, member.czxid] as const] : []))

const isOf = ({ members }: Round, name: string, czxid: bigint | undefined): boolean =>
  czxid !== undefined && members.get(name) === czxid

/**
 * The double barrier at a path, which is created by the first use. Fails with
 * `BadArguments` where an argument is malformed, or the path is the root.
 *
 * Beside what kazoo and Curator know, a member that is leaving has an ephemeral
 * znode `<path>-__leaving__-<its name>`: it does not count for the next round.
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
  if (path === "/") {
    return yield* new BadArguments({ argument: "path", value: path, problem: "the root cannot be a barrier" })
  }
  const ready = ZnodePath.join(path, "ready")

  /** Says that a member is leaving. Not in its own znode: kazoo's members would miss that it goes if it changed before. */
  const markOf = (name: string): string => `${path}-__leaving__-${name}`

  const list = repeating(zk, zk.getChildrenWithStat(path)).pipe(
    Effect.map(({ children, stat }) => ({
      names: children.filter((name) => name !== "ready"),
      // What the server shows is the number of creations and deletions.
      created: (stat.cversion + children.length) / 2
    }))
  )

  /** Who is there now, by name, and how many children there ever were. */
  const look: Effect.Effect<Look, BarrierError> = Effect.gen(function*() {
    const { created, names } = yield* list
    const reads = yield* repeating(
      zk,
      zk.getMany(names.flatMap((name) => [ZnodePath.join(path, name), markOf(name)]))
    )
    const present = new Map(names.flatMap((name, index) => {
      const [own, mark] = reads.slice(2 * index, 2 * index + 2)
      if (own === undefined || Result.isFailure(own)) return []
      const isLeaving = mark !== undefined && Result.isSuccess(mark)
      const { czxid, ephemeralOwner: owner, version } = own.success.stat
      return [[name, { czxid, owner, isOurs: version === ours, isLeaving }]]
    }))
    return { present, created }
  })

  /**
   * Lets everybody in: always a new znode, since an old one lets nobody in. Only
   * while that member is there: whoever comes later must not take it for its own.
   * Tells whether it is made, by whomever.
   */
  const announce = (member: string, isStale: boolean): Effect.Effect<boolean, BarrierError> =>
    repeating(
      zk,
      zk.transaction([
        Transaction.check(ZnodePath.join(path, member)),
        ...isStale ? [Transaction.remove(ready)] : [],
        Transaction.create(ready)
      ])
    ).pipe(
      Effect.as(true),
      Effect.catchTag("TransactionFailed", ({ error, index }) => {
        switch (error._tag) {
          // Another member has announced it, or this is a repetition.
          case "NodeExists":
          case "NoNode":
            return Effect.succeed(index > 0)
          case "BadVersion":
          case "NotEmpty":
            return Effect.die(error)
          default:
            return Effect.fail(error)
        }
      })
    )

  /** Waits until enough are in, and returns who they are. */
  const waitForAll = (name: string): Effect.Effect<Round, BarrierError> =>
    Effect.gen(function*() {
      const own = ZnodePath.join(path, name)
      let since: bigint | undefined
      while (true) {
        const [{ czxid }] = yield* held(zk, [{ path: own, data: identifier, version: ours }])
        since ??= czxid
        const entered = since
        const round = yield* Effect.scoped(Effect.gen(function*(): Effect.fn.Return<
          Round | undefined,
          BarrierError,
          Scope.Scope
        > {
          const { event, value } = yield* repeating(zk, zk.existsAndWatch(ready))
          const { created, present } = yield* look
          // What an earlier session has left goes by itself, and no watch of ours would tell.
          if (present.get(name)?.owner !== (yield* zk.session).id) return undefined
          if (Option.isSome(value) && value.value.czxid > entered) {
            const { czxid } = value.value
            return { members: czxids(present, (member, each) => each === name || member.czxid < czxid), isLate: false }
          }
          const inside = czxids(present, ({ isLeaving }) => !isLeaving)
          if (inside.size >= members) {
            // An event is seen before the reply that could show its change.
            const isMade = yield* Effect.raceFirst(Effect.as(event, true), Effect.succeed(false)).pipe(
              Effect.orElseSucceed(() => false)
            )
            const isNewest = Array.from(inside.values()).every((other) => other <= czxid)
            if (Option.isNone(value) && (isMade || !isNewest)) return { members: inside, isLate: false }
            if (!(yield* announce(name, Option.isSome(value)))) return undefined
            return { members: inside, isLate: (yield* list).created > created + 1 }
          }
          let isAnnounced = false
          yield* awaiting(zk, Effect.tap(event, ({ _tag }) =>
            Effect.sync(() => {
              isAnnounced = _tag === "NodeCreated"
            })))
          if (!isAnnounced) return undefined
          // Made after we came. It may be gone by now: kazoo's members delete it as soon as they leave.
          const { present: still } = yield* look
          // If our own has gone with its session they have left without us, and who is there has come since.
          return { members: still.has(name) ? czxids(still) : new Map([[name, czxid]]), isLate: false }
        }))
        if (round !== undefined) return round
      }
    })

  const remove = (at: string): Effect.Effect<void, BarrierError> =>
    repeating(zk, zk.delete(at)).pipe(
      Effect.catchTag("NoNode", () => Effect.void),
      Effect.catchTag(["BadVersion", "NotEmpty"], Effect.die)
    )

  /** Waits for a change of a member of the round, or for the other event; not if that member has gone already. */
  const waitFor = (name: string, round: Round, other: Effect.Effect<unknown, ConnectionError> = Effect.never) =>
    Effect.scoped(Effect.flatMap(
      repeating(zk, zk.existsAndWatch(ZnodePath.join(path, name))),
      ({ event, value }) =>
        Option.isSome(value) && isOf(round, name, value.value.czxid)
          ? awaiting(zk, Effect.raceFirst(event, other))
          : Effect.void
    ))

  /**
   * Waits until those of this library that are in the round are through as well:
   * they may need `ready`, which a member of kazoo's deletes when it leaves. Tells
   * whether it had to be made again.
   */
  const waitForSlow = (round: Round): Effect.Effect<boolean, BarrierError> =>
    Effect.gen(function*() {
      let isLate = false
      while (true) {
        const { present } = yield* look
        const slow = Array.from(present).find(([name, { czxid, isLeaving, isOurs }]) =>
          isOurs && !isLeaving && isOf(round, name, czxid))
        if (slow === undefined) return isLate
        if (Option.isNone(yield* repeating(zk, zk.exists(ready)))) {
          if (!(yield* announce(slow[0], false))) continue
          isLate = true
        }
        yield* Effect.scoped(Effect.gen(function*() {
          const [name] = slow
          const { event, value } = yield* repeating(zk, zk.existsAndWatch(markOf(name)))
          if (Option.isNone(value)) yield* waitFor(name, round, event)
        }))
      }
    })

  /**
   * Waits until a member of kazoo's is through, which it shows by deleting
   * `ready`: while it enters it counts who is there, and would wait for ever if
   * we went too early.
   */
  const waitForKazoo = (round: Round): Effect.Effect<void, BarrierError> =>
    Effect.gen(function*() {
      let isThrough = false
      while (!isThrough) {
        isThrough = yield* Effect.scoped(Effect.gen(function*() {
          const { event, value } = yield* repeating(zk, zk.existsAndWatch(ready))
          if (Option.isNone(value)) return true
          const { present } = yield* look
          const inside = Array.from(present).find(([name, { czxid, isOurs }]) => !isOurs && isOf(round, name, czxid))
          if (inside === undefined) return true
          yield* waitFor(inside[0], round, event)
          return false
        }))
      }
    })

  const leave = (name: string, round: Round): Effect.Effect<void, BarrierError> =>
    Effect.gen(function*() {
      const own = ZnodePath.join(path, name)
      // From now on it does not count for the next round.
      yield* held(zk, [{ path: markOf(name), data: "" }])
      if (layout === "kazoo") {
        const isLate = yield* waitForSlow(round)
        // It came after a member of kazoo's had begun to leave, and that waits for it as for the highest member.
        if (isLate || round.isLate) yield* remove(ready)
        yield* waitForKazoo(round)
      }
      while (true) {
        const { present } = yield* look
        const names = Array.from(present.keys())
        const remaining = names.filter((each) => each === name || isOf(round, each, present.get(each)?.czxid)).toSorted()
        const others = remaining.filter((each) => each !== name)
        const [lowest] = remaining
        const highest = others.at(-1)
        if (highest === undefined) {
          // The last one puts out the light. A member that was cut off could need it until now.
          if (names.every((each) => each === name)) {
            yield* remove(ready)
          }
          return yield* remove(own)
        }
        if (lowest === name) yield* waitFor(highest, round)
        else {
          yield* remove(own)
          yield* waitFor(lowest ?? highest, round)
        }
      }
    })

  const enter: DoubleBarrier["enter"] = Effect.gen(function*() {
    const scope = yield* Scope.Scope
    const name = yield* layout === "kazoo" ? uniqueName : Uuid.next
    const own = ZnodePath.join(path, name)
    const withdraw = Effect.forEach([own, markOf(name)], (each) =>
      Removal.inBackground(zk, Removal.untilGone(zk, each)), { concurrency: 2, discard: true })
    yield* repeating(zk, zk.ensurePath(path))
    let isIn = true
    const closed = Deferred.makeUnsafe<never>()
    yield* Scope.addFinalizer(
      scope,
      Effect.suspend(() => {
        Deferred.doneUnsafe(closed, Effect.interrupt)
        return isIn ? withdraw : Effect.void
      })
    )
    const round = yield* Effect.onError(Effect.raceFirst(waitForAll(name), Deferred.await(closed)), () =>
      Effect.suspend(() => {
        isIn = false
        return withdraw
      }))
    return {
      path: own,
      leave: leave(name, round).pipe(
        Telemetry.phase("leave", path),
        Effect.onExit((exit) =>
          Effect.suspend(() => {
            isIn = false
            // Its own znode first: until that is gone, the mark is needed.
            return exit._tag === "Success"
              ? Removal.inBackground(zk, Removal.untilGone(zk, markOf(name)))
              : withdraw
          })
        )
      )
    }
  }).pipe(Telemetry.phase("enter", path))

  return {
    path,
    enter,
    withMembers: (effect) =>
      Effect.scoped(Effect.flatMap(enter, ({ leave }) => Effect.tap(effect, () => leave)))
  }
})
