/**
 * Leadership: one candidate leads at a time, the next in line follows.
 *
 * The leader's effect is interrupted when its leadership ends: session lost,
 * local deadline passed, znode deleted, resigned. Leadership is a grant in the
 * sense of `Grant`, with its token (an epoch that only grows) and `guard`.
 *
 * **Guarantee.** A leader that knows of its leadership (`isValid`, or an effect
 * that has not been interrupted) is the only one, as far as `Grant` says. Not
 * guaranteed is that what it has sent elsewhere is there before its successor
 * leads: write with `guard`, or hand on the token. `leader` and `candidates` are
 * the connected server's view: one who is listed first may not know it yet, and
 * one that has crashed is listed until its session expires. Waiting ends as that
 * of `Lock` does, and leaves nothing behind.
 *
 * Follows kazoo's `Election` (`layout: "kazoo"`, the default), Curator's
 * `LeaderSelector` (`"curator"`) or `LeaderLatch` (`"curatorLatch"`), and stands
 * for election among theirs.
 *
 * @example
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as Election from "effect-zookeeper/recipe/Election"
 *
 * export const main = Effect.gen(function*() {
 *   const election = yield* Election.make("/election", { identifier: "worker-1" })
 *   // Leads whenever it is its turn, as long as the program runs.
 *   yield* election.leadAlways((grant) => Effect.andThen(Effect.log(`leading, epoch ${grant.token}`), Effect.never))
 * })
 * ```
 *
 * @since 0.1.0
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type { Acl } from "../Acl.ts"
import * as ZnodePath from "../ZnodePath.ts"
import { type Data, type OperationError, ZooKeeper } from "../ZooKeeper.ts"
import type { BadArguments, NoAuth } from "../ZooKeeperError.ts"
import type * as Grant from "./Grant.ts"
import { GrantLost } from "./Grant.ts"
import * as Layouts from "./internal/Layout.ts"
import { persevere } from "./internal/Perseverance.ts"
import * as Lock from "./Lock.ts"

/**
 * `resign` was called: the candidacy, or the leadership, is over.
 *
 * @category errors
 * @since 0.1.0
 */
export class Resigned extends Schema.TaggedError<Resigned>("~effect-zookeeper/recipe/Election/Resigned")(
  "Resigned",
  { path: Schema.String }
) {
  override get message() {
    return `Resigned from the election at ${this.path}`
  }
}

/**
 * Whose znodes the candidates' look like: kazoo's `Election` (and `Lock`),
 * Curator's `LeaderSelector`, Curator's `LeaderLatch`.
 *
 * @category models
 * @since 0.1.0
 */
export type Layout = "kazoo" | "curator" | "curatorLatch"

/**
 * Options of an election.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options extends Grant.Options {
  /** @default "kazoo" */
  readonly layout?: Layout | undefined
  /** Who we are, for others to see. @default empty */
  readonly identifier?: Data | undefined
  /** Of the candidate's znode, and of missing parents. @default the layer's `defaultAcl` */
  readonly acl?: ReadonlyArray<Acl> | undefined
}

/**
 * Somebody who leads or stands in line.
 *
 * @category models
 * @since 0.1.0
 */
export interface Candidate extends Lock.Contender {}

/**
 * An election.
 *
 * @category models
 * @since 0.1.0
 */
export interface Election {
  readonly path: string
  /**
   * Waits for leadership, runs, and gives it back: once. `GrantLost` where it was
   * lost meanwhile, `Resigned` after `resign`; the effect is interrupted then.
   */
  readonly lead: <A, E, R>(
    effect: Lock.Protected<A, E, R>,
    options?: Grant.AcquireOptions
  ) => Effect.Effect<A, E | Grant.AcquireError | Grant.AcquireTimeout | Grant.GrantLost | Resigned, R>
  /**
   * Leads again and again: stands for election anew after a loss, a resignation,
   * and when the effect is done. Ends only by a failure of the effect, by
   * interruption, or where waiting is of no use.
   */
  readonly leadAlways: <A, E, R>(
    effect: Lock.Protected<A, E, R>
  ) => Effect.Effect<never, E | Grant.AcquireError, R>
  /** Gives up what `lead` and `leadAlways` of this value wait for or have, and completes when that is done. */
  readonly resign: Effect.Effect<void>
  /** Who leads now, if anybody: as the connected server knows it, which the leader itself may not yet, or no longer. */
  readonly leader: Effect.Effect<Option.Option<Candidate>, NoAuth | OperationError>
  /** Who leads now, then whenever that changes. Goes on over new sessions. */
  readonly leaderChanges: Stream.Stream<Option.Option<Candidate>, NoAuth | OperationError>
  /** Who leads (the first), and who stands in line, in order. */
  readonly candidates: Effect.Effect<ReadonlyArray<Candidate>, NoAuth | OperationError>
}

/**
 * The election on a path. Nothing is sent yet.
 *
 * Fails with `BadArguments` where the path is malformed.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.fnUntraced(function*(
  path: string,
  options: Options = {}
): Effect.fn.Return<Election, BadArguments, ZooKeeper> {
  const zk = yield* ZooKeeper
  yield* ZnodePath.validate(path)
  const chosen = options.layout ?? "kazoo"
  const layout = chosen === "kazoo" ? "kazoo" : "curator"
  const marker = chosen === "curatorLatch" ? Layouts.latch : Layouts.markers[layout].lock
  const lock = Lock.fromContention(zk, {
    ...options,
    parent: path,
    layout,
    marker,
    markers: [marker],
    data: options.identifier ?? "",
    acl: options.acl,
    blocker: (ahead) => ahead.at(-1)
  })

  interface Candidacy {
    readonly resigned: Deferred.Deferred<never, Resigned>
    readonly over: Deferred.Deferred<void>
  }
  const candidacies = new Set<Candidacy>()

  const lead: Election["lead"] = (effect, acquireOptions) =>
    Effect.suspend(() => {
      const candidacy: Candidacy = { resigned: Deferred.makeUnsafe(), over: Deferred.makeUnsafe() }
      candidacies.add(candidacy)
      return Effect.raceFirst(lock.withLock(effect, acquireOptions), Deferred.await(candidacy.resigned)).pipe(
        Effect.onExit(() =>
          Effect.sync(() => {
            candidacies.delete(candidacy)
            Deferred.doneUnsafe(candidacy.over, Exit.void)
          })
        )
      )
    })

  /** What the effect learns of by `guard` or `protect`, before we do. */
  const isLossOfOurs = (error: unknown): boolean =>
    error instanceof GrantLost && ZnodePath.parent(error.path) === path

  const leader = Effect.map(lock.contenders, (all) => Option.fromNullishOr(all[0]))

  return {
    path,
    lead,
    leadAlways: (effect) =>
      Effect.forever(
        // What the effect fails with is its own, whatever it is called.
        lead((grant) => Effect.result(Effect.asVoid(Effect.isEffect(effect) ? effect : effect(grant)))).pipe(
          Effect.catchTag(["GrantLost", "Resigned", "AcquireTimeout"], () => Effect.succeed(Result.void)),
          Effect.flatMap((result) =>
            Result.isFailure(result) && !isLossOfOurs(result.failure) ? Effect.fail(result.failure) : Effect.void)
        )
      ),
    resign: Effect.suspend(() => {
      const present = [...candidacies]
      for (const { resigned } of present) Deferred.doneUnsafe(resigned, Exit.fail(new Resigned({ path })))
      return Effect.forEach(present, ({ over }) => Deferred.await(over), { discard: true })
    }),
    leader,
    leaderChanges: zk.childrenChanges(path).pipe(
      Stream.mapEffect(() => persevere(zk, leader)),
      Stream.changesWith((left, right) =>
        Option.isNone(left) ? Option.isNone(right) : Option.isSome(right) && left.value.path === right.value.path
      )
    ),
    candidates: lock.contenders
  }
})
