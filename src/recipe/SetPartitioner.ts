/**
 * Divides a set of items among members, so that each item belongs to one of
 * them, and divides it anew when members come and go. As kazoo's
 * `SetPartitioner` does it; both can take part on one path.
 *
 * **Guarantee.** An item is assigned to one member at a time: each member locks
 * the items that it is assigned and lets go of them only after whoever consumes
 * its stream has taken note. What a lock is worth while a connection is lost, and
 * how to fence what is written, says `Grant`: the grants come with the items.
 * Members with other items and members with the same identifier are found out
 * and make the newcomer fail, where kazoo's would spin or share items. (kazoo's
 * members do not tell what their items are; that theirs are the same is up to
 * you.)
 *
 * @example
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as Stream from "effect/Stream"
 * import * as SetPartitioner from "effect-zookeeper/recipe/SetPartitioner"
 *
 * export const worker = Effect.gen(function*() {
 *   const queues = yield* SetPartitioner.make("/workers", { items: ["a", "b", "c"], identifier: "host-7" })
 *   // What works on the items before is interrupted, and then others may have them.
 *   yield* queues.partition.pipe(
 *     Stream.switchMap((items) => Stream.fromEffect(Effect.andThen(Effect.log("mine now:", items), Effect.never))),
 *     Stream.runDrain
 *   )
 * })
 * ```
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Telemetry from "../client/Telemetry.ts"
import * as ZnodePath from "../ZnodePath.ts"
import { ZooKeeper } from "../ZooKeeper.ts"
import { BadArguments } from "../ZooKeeperError.ts"
import type * as Grant from "./Grant.ts"
import { held, uniqueName } from "./internal/Ephemeral.ts"
import { persevere } from "./internal/Perseverance.ts"
import * as Removal from "./internal/Removal.ts"
import * as Lock from "./Lock.ts"

const TypeId = "~effect-zookeeper/recipe/SetPartitioner"

/**
 * There are members with other items: dividing two different sets would leave
 * items to nobody, or to two. Give all members the same, then start them anew.
 *
 * @category errors
 * @since 0.1.0
 */
export class DifferentItems extends Schema.TaggedError<DifferentItems>(`${TypeId}/DifferentItems`)("DifferentItems", {
  path: Schema.String,
  /** Identifiers of the members whose items are others. */
  members: Schema.Array(Schema.String)
}) {
  override get message() {
    return `Members of ${this.path} divide other items than this one: ${this.members.join(", ")}`
  }
}

/**
 * There is another member with this identifier: both would be assigned the same
 * items. Give each its own.
 *
 * @category errors
 * @since 0.1.0
 */
export class DuplicateIdentifier extends Schema.TaggedError<DuplicateIdentifier>(`${TypeId}/DuplicateIdentifier`)(
  "DuplicateIdentifier",
  {
    path: Schema.String,
    identifier: Schema.String
  }
) {
  override get message() {
    return `${this.path} has another member with the identifier ${JSON.stringify(this.identifier)}`
  }
}

/**
 * What taking part can fail with. This member has left then, and its items are
 * free.
 *
 * @category errors
 * @since 0.1.0
 */
export type PartitionError = DifferentItems | DuplicateIdentifier | Grant.AcquireError

/**
 * This member waits for the others to settle, or for its items to be let go.
 * It has none.
 *
 * @category models
 * @since 0.1.0
 */
export interface Allocating {
  readonly _tag: "Allocating"
}

/**
 * The items are this member's.
 *
 * @category models
 * @since 0.1.0
 */
export interface Acquired {
  readonly _tag: "Acquired"
  readonly items: ReadonlyArray<string>
  /** The lock of each item, in the same order: for fencing. */
  readonly grants: ReadonlyArray<Grant.Grant>
}

/**
 * Members have changed, or a lock was lost: stop working on the items. They are
 * let go when the next state is asked for.
 *
 * @category models
 * @since 0.1.0
 */
export interface Releasing {
  readonly _tag: "Releasing"
  readonly items: ReadonlyArray<string>
}

/**
 * What a member goes through, in this order, again and again; kazoo's FAILURE is
 * the failure of the stream.
 *
 * @category models
 * @since 0.1.0
 */
export type State = Allocating | Acquired | Releasing

/**
 * A member to be.
 *
 * @category models
 * @since 0.1.0
 */
export interface SetPartitioner {
  readonly path: string
  readonly identifier: string
  /**
   * Takes part as long as the stream runs; the end of the stream leaves, and
   * frees the items. Goes on over reconnects and in new sessions. Items are let
   * go only when the state behind `Releasing` is asked for.
   */
  readonly states: Stream.Stream<State, PartitionError>
  /**
   * The items of this member: none at first and whenever they are to be let go,
   * which they are when the element after that is asked for. Use it with
   * `Stream.switchMap`, or do with each element what can be done at once.
   */
  readonly partition: Stream.Stream<ReadonlyArray<string>, PartitionError>
}

/**
 * Options of a member.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options extends Grant.Options {
  /** What is divided: names that may be names of znodes. The same for all members; order and repetitions do not matter. */
  readonly items: Iterable<string>
  /** Tells members apart, and decides with the others' who gets what. @default unique */
  readonly identifier?: string | undefined
  /** How long members must not have changed before items are assigned: kazoo's `time_boundary`. @default "30 seconds" */
  readonly settleTime?: Duration.Input | undefined
  /**
   * Who gets what: the items of `identifier`, one of the sorted `members`. The
   * same for all members, and such that each item belongs to one.
   *
   * @default every n-th of the sorted items, as kazoo does
   */
  readonly divide?:
    | ((
      identifier: string,
      members: ReadonlyArray<string>,
      items: ReadonlyArray<string>
    ) => ReadonlyArray<string>)
    | undefined
}

const everyNth: NonNullable<Options["divide"]> = (identifier, members, items) => {
  const own = members.indexOf(identifier)
  return own < 0 ? [] : items.filter((_, index) => index % members.length === own)
}

/** Items that are held. */
interface Allocation {
  readonly items: ReadonlyArray<string>
  readonly grants: ReadonlyArray<Grant.Grant>
  /** Completes when members have come or gone, or may have. */
  readonly changed: Effect.Effect<void>
  /** Closing it lets go. */
  readonly scope: Scope.Closeable
}

/** What stands behind the first hyphen, as kazoo's ShallowParty reads it. */
const identifierOf = (name: string): string => name.slice(name.indexOf("-") + 1)

const digestOf = (items: ReadonlyArray<string>): Effect.Effect<string> =>
  Effect.map(
    Effect.promise(() => globalThis.crypto.subtle.digest("SHA-256", new TextEncoder().encode(JSON.stringify(items)))),
    (digest) => Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("")
  )

const namable = (argument: string, name: string): Effect.Effect<void, BadArguments> => {
  const problem = name === "" || name.includes("/")
    ? "must not be empty, nor contain \"/\""
    : ZnodePath.problemOf(`/${name}`)
  return problem === undefined ? Effect.void : Effect.fail(new BadArguments({ argument, value: name, problem }))
}

/**
 * A member at a path, which takes part once one of its streams runs. Fails with
 * `BadArguments` where an argument is malformed.
 *
 * Members are `<path>/party/<32 hex digits>-<identifier>`, locks
 * `<path>/locks/<item>/<32 hex digits>__lock__<10 digits>`, as kazoo's. Beside
 * those, which kazoo ignores, each member tells a digest of its items in
 * `<path>/sets/<its name in the party>`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.fnUntraced(function*(
  path: string,
  options: Options
): Effect.fn.Return<SetPartitioner, BadArguments, ZooKeeper> {
  const zk = yield* ZooKeeper
  yield* ZnodePath.validate(path)
  const items = Array.from(new Set(options.items)).toSorted()
  for (const item of items) yield* namable("items", item)
  const identifier = options.identifier ?? (yield* uniqueName)
  yield* namable("identifier", `x-${identifier}`)
  const { divide = everyNth, settleTime = "30 seconds" } = options
  const digest = yield* digestOf(items)
  const party = ZnodePath.join(path, "party")
  const sets = ZnodePath.join(path, "sets")
  const locks = ZnodePath.join(path, "locks")

  /** What is wrong with the others; `isNewcomer` if they were there first, and it is for us to go. */
  const conflict = (name: string, names: ReadonlyArray<string>) =>
    Effect.gen(function*() {
      const others = names.filter((each) => each !== name)
      const reads = yield* persevere(zk, zk.getMany(others.map((other) => ZnodePath.join(sets, other))))
      const decoder = new TextDecoder()
      const different = others.filter((_, index) => {
        const read = reads[index]
        return read !== undefined && Result.isSuccess(read) && decoder.decode(read.success.data) !== digest
      })
      const equal = others.filter((other) => identifierOf(other) === identifier)
      const [first] = [...equal, ...different]
      if (first === undefined) return undefined
      const [own, ...theirs] = yield* persevere(
        zk,
        zk.getMany([name, ...equal, ...different].map((each) => ZnodePath.join(party, each)))
      )
      const ours = own !== undefined && Result.isSuccess(own) ? own.success.stat.czxid : 0n
      return {
        isNewcomer: theirs.some((read) => Result.isSuccess(read) && read.success.stat.czxid < ours),
        error: equal.length > 0
          ? new DuplicateIdentifier({ path, identifier })
          : new DifferentItems({ path, members: different.map(identifierOf) })
      }
    })

  /** A member's life: each effect is the next state. */
  const life = Effect.gen(function*() {
    const scope = yield* Scope.Scope
    const name = `${yield* uniqueName}-${identifier}`
    const member = ZnodePath.join(party, name)
    const set = ZnodePath.join(sets, name)
    for (const parent of [party, locks, sets]) yield* persevere(zk, zk.ensurePath(parent))
    yield* Scope.addFinalizer(
      scope,
      Effect.all([
        Removal.inBackground(zk, Removal.untilGone(zk, member)),
        Removal.inBackground(zk, Removal.untilGone(zk, set))
      ], { concurrency: 2, discard: true })
    )

    /** One try, in a scope of its own: `undefined` when members have changed before it was done. */
    const attempt = Effect.gen(function*() {
      // At once: whoever sees a member can see what it divides.
      yield* persevere(zk, held(zk, [{ path: set, data: digest }, { path: member, data: identifier }]))
      const { event, value } = yield* persevere(zk, zk.getChildrenAndWatch(party))
      const changed = Effect.ignore(event)
      if (!value.children.includes(name)) return undefined
      const found = yield* conflict(name, value.children)
      if (found?.isNewcomer === true) return yield* found.error
      const isSettled = yield* Effect.timeoutOrElse(Effect.as(changed, false), {
        duration: settleTime,
        orElse: () => Effect.succeed(true)
      })
      if (!isSettled) return undefined
      // The other one had time enough to go.
      if (found !== undefined) return yield* found.error
      const share = divide(identifier, value.children.map(identifierOf).toSorted(), items)
      const grants = yield* Effect.raceFirst(
        Effect.as(changed, undefined),
        Effect.forEach(share, (item) =>
          Effect.flatMap(Lock.make(ZnodePath.join(locks, item), options), (lock) => lock.acquire()), {
          concurrency: 16
        })
      )
      return grants === undefined ? undefined : { items: share, grants, changed }
    }).pipe(
      Effect.provideService(ZooKeeper, zk),
      // Without a deadline there is none to pass.
      Effect.catchTag("AcquireTimeout", Effect.die)
    )

    const allocate: Effect.Effect<Allocation, PartitionError> = Effect.suspend(() =>
      Effect.gen(function*() {
        const own = yield* Scope.fork(scope)
        const share = yield* Effect.onExit(Scope.provide(attempt, own), (exit) =>
          Exit.isSuccess(exit) && exit.value !== undefined ? Effect.void : Scope.close(own, exit))
        return share === undefined ? yield* allocate : { ...share, scope: own }
      })
    )
    const allocating = Telemetry.phase("allocate", path)(allocate)

    let state: State | undefined
    let allocation: Allocation | undefined
    return Effect.gen(function*(): Effect.fn.Return<State, PartitionError> {
      if (allocation === undefined) {
        if (state?._tag !== "Allocating") return state = { _tag: "Allocating" }
        allocation = yield* allocating
        const { grants, items } = allocation
        return state = { _tag: "Acquired", items, grants }
      }
      const { changed, grants, items, scope } = allocation
      if (state?._tag === "Acquired") {
        const lost = grants.map((grant) => Effect.ignore(grant.lost))
        yield* Effect.raceAllFirst([changed, ...lost])
        return state = { _tag: "Releasing", items }
      }
      yield* Scope.close(scope, Exit.void)
      allocation = undefined
      return state = { _tag: "Allocating" }
    })
  })

  const states: SetPartitioner["states"] = Stream.unwrap(Effect.map(life, Stream.fromEffectRepeat))

  return {
    path,
    identifier,
    states,
    partition: states.pipe(
      // Allocating is told once, by Releasing; only the first has none before it.
      Stream.zipWithPrevious,
      Stream.filter(([previous, state]) => !(previous._tag === "Some" && state._tag === "Allocating")),
      Stream.map(([, state]) => state._tag === "Acquired" ? state.items : [])
    )
  }
})
