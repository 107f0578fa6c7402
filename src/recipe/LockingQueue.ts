/**
 * A queue whose items stay until they are done: a taker claims an item, works,
 * and consumes it. As kazoo's `LockingQueue` keeps it; both can share one path.
 *
 * **Guarantee.** An item is there until somebody has consumed it, however many
 * takers die over it: at least once. `consume` removes the item, the claim, and
 * does whatever else is given to it, in one transaction that the server refuses
 * once the claim is lost: what is written *there* is written exactly once.
 * A lost claim (session over, claim deleted) interrupts the effect that
 * {@link LockingQueue.process} runs. Lost replies double nothing and lose
 * nothing; interruption at any point leaves neither claim nor any other znode.
 *
 * What is *not* guaranteed: an item that was claimed by two takers one after the
 * other was worked on twice, and effects elsewhere happen twice: give `token` to
 * systems that can refuse an older one. An item that fails goes back to its old
 * place, with its priority, and is the first again at once, for any taker: pause
 * before the next try, and set it aside when `attempts` says that it is poison.
 *
 * @example
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as Schedule from "effect/Schedule"
 * import * as LockingQueue from "effect-zookeeper/recipe/LockingQueue"
 * import * as Transaction from "effect-zookeeper/Transaction"
 *
 * export const worker = Effect.scoped(Effect.gen(function*() {
 *   const queue = yield* LockingQueue.make("/jobs")
 *   const work = queue.process((claim) =>
 *     claim.attempts > 5
 *       ? claim.consume([Transaction.create("/poison/job-", claim.data, { mode: "persistentSequential" })])
 *       : Effect.log(`attempt ${claim.attempts}: ${new TextDecoder().decode(claim.data)}`)
 *   )
 *   yield* Effect.forever(Effect.retry(work, Schedule.exponential("100 millis")))
 * }))
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
import * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import * as Stream from "effect/Stream"
import * as Telemetry from "../client/Telemetry.ts"
import * as Transaction from "../Transaction.ts"
import * as ZnodePath from "../ZnodePath.ts"
import { type CreateError, type Data, type OperationError, ZooKeeper } from "../ZooKeeper.ts"
import { BadArguments, type ConnectionError, type NoAuth, TransactionFailed } from "../ZooKeeperError.ts"
import { SequenceExhausted } from "./Grant.ts"
import { uniqueName } from "./internal/Ephemeral.ts"
import * as Items from "./internal/Items.ts"
import * as Ledger from "./internal/Ledger.ts"
import * as Removal from "./internal/Removal.ts"
import { awaiting, isUnknown, repeating, retrying } from "./internal/Retrying.ts"
import type * as Queue from "./Queue.ts"

/**
 * The item is no longer claimed by this taker. It is in the queue, or another
 * taker's, unless it was consumed.
 *
 * @category errors
 * @since 0.1.0
 */
export class ClaimLost extends Schema.TaggedError<ClaimLost>("~effect-zookeeper/recipe/LockingQueue/ClaimLost")(
  "ClaimLost",
  {
    /** The znode of the item. */
    path: Schema.String,
    /** `"lost"`: the session is over, or somebody deleted the claim or the item. */
    reason: Schema.Literals(["lost", "consumed", "released"])
  }
) {
  override get message() {
    return this.reason === "lost"
      ? `The claim on ${this.path} is lost: its session is over, or somebody deleted it`
      : `The claim on ${this.path} is over: it was ${this.reason} before`
  }
}

/**
 * What a take can fail with.
 *
 * @category errors
 * @since 0.1.0
 */
export type TakeError = SequenceExhausted | Exclude<CreateError, { readonly _tag: "NodeExists" }>

/**
 * An item that this taker alone works on.
 *
 * @category models
 * @since 0.1.0
 */
export interface Claim {
  readonly data: Uint8Array
  /** The znode of the item. */
  readonly path: string
  /** How often the item was claimed by takers of this kind, this time included: for setting poison aside. */
  readonly attempts: number
  /** Greater than that of every claim before: the zxid of the claim, a fencing token for other systems. */
  readonly token: bigint
  /**
   * Removes the item for good, together with further operations of yours, in one
   * transaction: all or nothing, and only while the claim holds. Fails with
   * `ClaimLost` where it does not, with `TransactionFailed` where one of yours is
   * refused (`index` counts yours), and with outcome `Unknown` in the one case
   * that the session ended before the answer came and the item is gone.
   */
  readonly consume: (
    also?: ReadonlyArray<Transaction.Operation>
  ) => Effect.Effect<void, ClaimLost | TransactionFailed | OperationError>
  /** Gives the item back to the queue, at its old place. */
  readonly release: Effect.Effect<void, ClaimLost | OperationError>
  /** Proves by a write that the claim holds: its session and its znode were there when the leader applied it. */
  readonly renew: Effect.Effect<void, ClaimLost | OperationError>
  /** Whether the claim holds, by a read behind a `sync`. */
  readonly holds: Effect.Effect<boolean, OperationError>
  /**
   * Fails as soon as the claim is lost, by the client's own clock where there is
   * no connection any more. A suspended connection alone is no loss.
   */
  readonly lost: Effect.Effect<never, ClaimLost>
}

/**
 * A queue of items that are claimed and then consumed.
 *
 * @category models
 * @since 0.1.0
 */
export interface LockingQueue {
  readonly path: string
  /** Adds an item: a string is stored as UTF-8. */
  readonly offer: (item: Data, options?: Queue.OfferOptions) => Effect.Effect<void, Queue.OfferError>
  /** Adds items one behind the other, all or none, in one transaction of `maxRequestSize` at most. */
  readonly offerAll: (
    items: ReadonlyArray<Data>,
    options?: Queue.OfferOptions
  ) => Effect.Effect<void, Queue.OfferError>
  /** Claims the first item that nobody has claimed, if there is one. */
  readonly poll: Effect.Effect<Option.Option<Claim>, TakeError, Scope.Scope>
  /**
   * Claims the first item that nobody has claimed; waits for one, over reconnects
   * and new sessions. The claim is released with the scope, if it was not
   * consumed. Give it a deadline with `Effect.timeout`: an interrupted take
   * leaves no claim.
   */
  readonly take: Effect.Effect<Claim, TakeError, Scope.Scope>
  /** Claims one item after the other, each when it is asked for; what is not consumed is released with the scope. */
  readonly stream: Stream.Stream<Claim, TakeError, Scope.Scope>
  /**
   * Takes an item, runs the effect with it, and consumes it, unless the effect has
   * consumed it itself, with operations of its own, or has released it. Where the
   * effect fails or is interrupted the item is released. Where the claim is lost the
   * effect is interrupted, and the whole fails with `ClaimLost`. A released item is
   * the next one again, poison or not: repeat this with a `Schedule`.
   */
  readonly process: <A, E, R>(
    f: (claim: Claim) => Effect.Effect<A, E, R>
  ) => Effect.Effect<A, E | TakeError | ClaimLost | TransactionFailed, R>
  /** How many items there are, those that are claimed included. */
  readonly size: Effect.Effect<number, NoAuth | OperationError>
}

/** A claim in the making: what it takes to claim an item, and to undo it. */
interface Candidate {
  readonly name: string
  readonly data: Uint8Array
  readonly version: number
  /** A znode of this claim alone, of the same session: who can still see it has the claim. */
  readonly witness: string
}

/** Where no operation but the claim's own is in the transaction. */
const only = <A, R>(
  effect: Effect.Effect<A, ClaimLost | TransactionFailed | OperationError, R>
): Effect.Effect<A, ClaimLost | OperationError, R> =>
  Effect.catchTag(effect, "TransactionFailed", (failed) =>
    failed.error._tag === "ConnectionError" ? Effect.fail(failed.error) : Effect.die(failed))

/**
 * The queue at a path, which is created by the first use. Fails with
 * `BadArguments` where the path is malformed or the root.
 *
 * Items are `<path>/entries/entry-PPP-<10 digits>`, claims
 * `<path>/taken/<the same name>`. Beside the path lie two kinds of ephemeral
 * znodes that kazoo does not know of: `<path>-__ledger__-<32 hex digits>`, which
 * makes the outcome of lost replies known, and one
 * `<path>-__claim__-<32 hex digits>` for each claim, by which the server can
 * tell this claim from a later one on the same item. Each claim also writes the
 * item's znode anew, with the same data, so that its version counts them.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.fnUntraced(function*(
  path: string
): Effect.fn.Return<LockingQueue, BadArguments, ZooKeeper | Scope.Scope> {
  const zk = yield* ZooKeeper
  yield* ZnodePath.validate(path)
  if (path === "/") {
    return yield* new BadArguments({ argument: "path", value: path, problem: "the root cannot be a queue" })
  }
  const entries = ZnodePath.join(path, "entries")
  const taken = ZnodePath.join(path, "taken")
  const items = yield* Items.make(zk, { path: entries, beside: path, ...kazoo })
  const ledger = yield* Ledger.make(zk, path)
  const waiting = Semaphore.makeUnsafe(1)
  const id = yield* uniqueName
  /** Names that fibers of this client are about to claim: no use to compete for them. */
  const busy = new Set<string>()
  /** Done when a poller leaves a name whose item it has not claimed: the one that waits may have passed it over. */
  let freed = Deferred.makeUnsafe<void>()

  const ensure = Effect.andThen(repeating(zk, zk.ensurePath(entries)), repeating(zk, zk.ensurePath(taken)))

  const claimOnce = (
    { data, name, version, witness }: Candidate,
    claimed: () => void
  ): Effect.Effect<Option.Option<bigint>, TakeError> =>
    retrying(
      zk,
      ledger.commit([
        Transaction.set(ZnodePath.join(entries, name), data, version),
        Transaction.create(ZnodePath.join(taken, name), id, { mode: "ephemeral" }),
        Transaction.create(witness, "", { mode: "ephemeral" })
      ], claimed)
    ).pipe(
      Effect.asSome,
      Effect.catchTag("TransactionFailed", (failed): Effect.Effect<Option.Option<bigint>, TakeError> => {
        switch (failed.error._tag) {
          // Consumed, or claimed, by somebody else.
          case "NoNode":
          case "BadVersion":
          case "NodeExists":
            return Effect.succeedNone
          case "NotEmpty":
            return Effect.die(failed)
          default:
            return Effect.fail(failed.error)
        }
      }),
      // Its session has ended, and the claim with it if there ever was one.
      Effect.catchIf(isUnknown, () => Effect.succeedNone)
    )

  /** In the background, until the claim is gone or its session is. */
  const released = ({ name, witness }: Candidate): Effect.Effect<void> =>
    Removal.inBackground(
      zk,
      Removal.persist(zk.transaction([Transaction.remove(witness), Transaction.remove(ZnodePath.join(taken, name))]))
        .pipe(Effect.asVoid, Effect.catchTag("TransactionFailed", () => Effect.void))
    )

  /** A claim that was sent is seen through whatever becomes of the caller; then it is released. */
  const claim = (candidate: Candidate): Effect.Effect<Option.Option<bigint>, TakeError> =>
    Effect.suspend(() => {
      let isOurs = false
      const claiming = claimOnce(candidate, () => {
        isOurs = true
      })
      return Items.abandoning(claiming, Effect.suspend(() => isOurs ? released(candidate) : Effect.void))
    })

  const claimed = (candidate: Candidate, token: bigint): Effect.Effect<Claim, never, Scope.Scope> =>
    Effect.gen(function*() {
      const { data, name, version, witness } = candidate
      const entry = ZnodePath.join(entries, name)
      const own = ZnodePath.join(taken, name)
      const scope = yield* Scope.Scope
      let over: "lost" | "consumed" | "released" | undefined
      const fail = (): Effect.Effect<never, ClaimLost> =>
        Effect.fail(new ClaimLost({ path: entry, reason: over ?? "lost" }))
      yield* Scope.addFinalizer(scope, Effect.suspend(() => over === undefined ? released(candidate) : Effect.void))

      const guarded = (
        operations: ReadonlyArray<Transaction.Operation>
      ): Effect.Effect<void, ClaimLost | TransactionFailed | OperationError> =>
        Effect.suspend((): Effect.Effect<void, ClaimLost | TransactionFailed | OperationError> =>
          over === undefined
            ? Effect.asVoid(retrying(zk, ledger.commit([Transaction.check(witness), ...operations])))
            : fail()
        )

      /** The operations of the claim itself are the first; that one of them is refused means that it is lost. */
      const orLost = (own: number) => <A, R>(
        effect: Effect.Effect<A, ClaimLost | TransactionFailed | OperationError, R>
      ): Effect.Effect<A, ClaimLost | TransactionFailed | OperationError, R> =>
        Effect.catchTag(effect, "TransactionFailed", (failed): Effect.Effect<never, ClaimLost | TransactionFailed> => {
          if (failed.index >= own) {
            return Effect.fail(new TransactionFailed({ ...failed, index: failed.index - own }))
          }
          return failed.error._tag === "NoNode" ? fail() : Effect.fail(failed)
        })

      /** No answer, and the session has ended: what is still there was not consumed, and can no longer be. */
      const settle = (error: ConnectionError): Effect.Effect<never, ClaimLost | OperationError> =>
        Effect.flatMap(
          repeating(zk, Effect.andThen(zk.sync(entry), zk.exists(entry))).pipe(
            Effect.catchTag("NoAuth", () => Effect.fail(error))
          ),
          (found): Effect.Effect<never, ClaimLost | ConnectionError> =>
            Option.isNone(found) ? Effect.fail(error) : fail()
        )

      const consume: Claim["consume"] = (also = []) =>
        guarded([
          Transaction.remove(entry),
          Transaction.remove(own),
          Transaction.remove(witness),
          ...also
        ]).pipe(
          orLost(4),
          Effect.catchIf(isUnknown, settle),
          Telemetry.phase("consume", path),
          Effect.map(() => {
            over = "consumed"
          })
        )

      const release: Claim["release"] = guarded([Transaction.remove(own), Transaction.remove(witness)]).pipe(
        orLost(3),
        only,
        // No answer, and the session has ended: the claim is gone in any case.
        Effect.catchIf(isUnknown, () => Effect.void),
        Telemetry.phase("release", path),
        Effect.map(() => {
          over = "released"
        })
      )

      const lost: Claim["lost"] = Effect.suspend(() =>
        over === undefined
          ? Effect.scoped(Effect.flatMap(zk.existsAndWatch(witness), ({ event, value }) =>
            Option.isNone(value) ? Effect.void : Effect.asVoid(event))).pipe(
              Effect.matchEffect({
                onSuccess: fail,
                // A cut while the watch was being set; everything else is the end of the session.
                onFailure: (error) =>
                  error._tag === "ConnectionError" && error.isRetryable ? Effect.andThen(zk.session, lost) : fail()
              }),
              Effect.catchTag("ConnectionError", fail)
            )
          : fail()
      )

      return {
        data,
        path: entry,
        attempts: version + 1,
        token,
        consume,
        release,
        renew: guarded([Transaction.set(own, id)]).pipe(
          orLost(2),
          only,
          Effect.catchIf(isUnknown, fail)
        ),
        holds: Effect.suspend(() =>
          over === undefined
            ? Effect.map(
              repeating(zk, Effect.andThen(zk.sync(own), zk.getMany([witness, own]))),
              (reads) => reads.every(Result.isSuccess)
            )
            : Effect.succeed(false)
        ),
        lost
      }
    })

  const attempt = (name: string): Effect.Effect<Option.Option<Claim>, TakeError, Scope.Scope> =>
    Effect.gen(function*() {
      const read = yield* repeating(zk, zk.get(ZnodePath.join(entries, name))).pipe(
        Effect.asSome,
        Effect.catchTag("NoNode", () => Effect.succeedNone)
      )
      if (Option.isNone(read)) return Option.none()
      const candidate = {
        name,
        data: read.value.data,
        version: read.value.stat.version,
        witness: `${path}-__claim__-${yield* uniqueName}`
      }
      // From the claim on to its finalizer nothing may come in between.
      return yield* Effect.uninterruptibleMask((restore) =>
        Effect.flatMap(
          restore(claim(candidate)),
          Option.match({
            onNone: () => Effect.succeedNone,
            onSome: (token) => Effect.asSome(claimed(candidate, token))
          })
        )
      )
    })

  const firstOf = (
    names: ReadonlyArray<string>,
    claims: ReadonlyArray<string>,
    isPolling: boolean
  ): Effect.Effect<Option.Option<Claim>, TakeError, Scope.Scope> =>
    Effect.gen(function*() {
      const isTaken = new Set(claims)
      if (names.some(Items.isExhausted(kazoo.prefix))) return yield* new SequenceExhausted({ path: entries })
      for (const name of Items.inOrder(names)) {
        if (isTaken.has(name) || busy.has(name)) continue
        busy.add(name)
        const claim = yield* Effect.onExit(attempt(name), (exit) =>
          Effect.sync(() => {
            busy.delete(name)
            if (!isPolling || Exit.isSuccess(exit) && Option.isSome(exit.value)) return
            Deferred.doneUnsafe(freed, Exit.void)
            freed = Deferred.makeUnsafe()
          }))
        if (Option.isSome(claim)) return claim
      }
      return Option.none()
    })

  const look = Effect.gen(function*() {
    const names = yield* repeating(zk, zk.getChildren(entries))
    return yield* firstOf(names, names.length === 0 ? [] : yield* repeating(zk, zk.getChildren(taken)), true)
  })

  const poll: LockingQueue["poll"] = Effect.catchTag(look, "NoNode", () => Effect.andThen(ensure, look))

  /** One look that is repeated at the next change. Claims that go are changes too: of `taken`. */
  const lookAndWait: Effect.Effect<Option.Option<Claim>, TakeError, Scope.Scope> = Effect.gen(function*() {
    const scope = yield* Scope.Scope
    return yield* Effect.scoped(Effect.gen(function*() {
      const anyFreed = Deferred.await(freed)
      const claims = yield* repeating(zk, zk.getChildrenAndWatch(taken))
      const names = yield* repeating(zk, zk.getChildrenAndWatch(entries))
      const claim = yield* Scope.provide(firstOf(names.value.children, claims.value.children, false), scope)
      if (Option.isNone(claim)) {
        yield* Effect.raceFirst(awaiting(zk, Effect.raceFirst(names.event, claims.event)), anyFreed)
      }
      return claim
    }))
  })

  const wait: LockingQueue["take"] = Effect.flatMap(
    Effect.catchTag(lookAndWait, "NoNode", () => Effect.as(ensure, Option.none<Claim>())),
    Option.match({ onNone: () => Effect.suspend(() => wait), onSome: Effect.succeed })
  )

  const take: LockingQueue["take"] = Effect.flatMap(
    poll,
    Option.match({ onNone: () => waiting.withPermit(wait), onSome: Effect.succeed })
  )

  const offerAll: LockingQueue["offerAll"] = (all, options) =>
    Effect.flatMap(Items.kazooPrefix(options?.priority), (prefix) =>
      items.offer(all.map((data) => ({ prefix, data }))))

  return {
    path,
    offer: (item, options) => offerAll([item], options),
    offerAll,
    poll,
    take,
    stream: Stream.fromEffectRepeat(take),
    process: (f) =>
      Effect.scoped(Effect.flatMap(take, (claim) =>
        Effect.tap(Effect.raceFirst(Effect.suspend(() => f(claim)), claim.lost), () =>
          // The effect may have consumed it itself, with operations of its own, or have released it.
          Effect.catchIf(claim.consume(), (error) => error._tag === "ClaimLost" && error.reason !== "lost", () =>
            Effect.void)))),
    size: items.size
  }
})

const kazoo = {
  prefix: /^entry-\d{3}-/,
  ready: (names: ReadonlyArray<string>): Items.Ready => ({ names: Items.inOrder(names) })
}
