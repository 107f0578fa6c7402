/**
 * A lease: something that one holder has until a point in time, written down in
 * a znode. It outlives sessions and processes, as a task that is to run on one
 * machine for an hour wants it. As kazoo's `NonBlockingLease` and
 * `MultiNonBlockingLease` keep it; all can share one path.
 *
 * **Guarantee.** A lease is given away only under a lock, in a transaction that
 * is refused once that lock is lost, and only when its record is missing, over by
 * the taker's clock, or the taker's own. Whoever has the lease knows until when.
 * What that is worth depends on clocks: those of the machines must agree, and a
 * holder must stop *before* the end by as much as they may differ; nothing
 * interrupts it. For mutual exclusion that does not rely on clocks alone take a
 * `Lock`, whose grants are fenced.
 *
 * @example
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as Option from "effect/Option"
 * import * as Lease from "effect-zookeeper/recipe/Lease"
 *
 * export const hourly = Effect.gen(function*() {
 *   const lease = yield* Lease.make("/leases/cleanup", { duration: "70 minutes", identifier: "host-7" })
 *   if (Option.isSome(yield* lease.obtain)) yield* Effect.log("cleaning up")
 * })
 * ```
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Telemetry from "../client/Telemetry.ts"
import * as Transaction from "../Transaction.ts"
import type { Znode } from "../Znode.ts"
import * as ZnodePath from "../ZnodePath.ts"
import { type OperationError, ZooKeeper } from "../ZooKeeper.ts"
import { BadArguments, type NoAuth } from "../ZooKeeperError.ts"
import type * as Grant from "./Grant.ts"
import * as LeaseRecord from "./internal/LeaseRecord.ts"
import { isUnknown, repeating } from "./internal/Retrying.ts"
import * as Lock from "./Lock.ts"

/**
 * The record is none that kazoo or this library has written. It is left as it
 * is: delete it by hand if nobody needs it.
 *
 * @category errors
 * @since 0.1.0
 */
export class NotALease extends Schema.TaggedError<NotALease>("~effect-zookeeper/recipe/Lease/NotALease")("NotALease", {
  /** The znode of the record. */
  path: Schema.String,
  problem: Schema.String
}) {
  override get message() {
    return `${this.path} holds no lease: ${this.problem}`
  }
}

/**
 * What obtaining and releasing can fail with. `GrantLost`: the lock under which
 * the record is written was lost again and again; nothing was changed, unless it
 * is a `ConnectionError` with outcome `Unknown`.
 *
 * @category errors
 * @since 0.1.0
 */
export type LeaseError = NotALease | Grant.AcquireError | Grant.AcquireTimeout | Grant.GrantLost

/**
 * Who has a lease, and until when.
 *
 * @category models
 * @since 0.1.0
 */
export interface Held {
  /** The znode of the record. */
  readonly path: string
  readonly holder: string
  /** In ms since the epoch, a whole second. */
  readonly end: number
}

/**
 * A lease.
 *
 * @category models
 * @since 0.1.0
 */
export interface Lease {
  readonly path: string
  /**
   * Takes the lease, or renews it from now on, if nobody else has it: then `None`.
   * Waits for the lock under which that is decided, not for the lease. Doing it
   * twice, as after a lost reply, is as good as once.
   */
  readonly obtain: Effect.Effect<Option.Option<Held>, LeaseError>
  /** Gives the lease back if it is ours, and tells whether it was; kazoo can only let it run out. */
  readonly release: Effect.Effect<boolean, LeaseError>
  /** Who has the lease now, by this machine's clock. */
  readonly holders: Effect.Effect<ReadonlyArray<Held>, NotALease | NoAuth | OperationError>
}

/**
 * Options of a lease.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** How long from the moment at which it is obtained; whole seconds are written, rounded down. */
  readonly duration: Duration.Input
  /** Who obtains it. The same one renews it, from wherever: kazoo takes the host name. */
  readonly identifier: string
  /** How long to wait for the lock; then `AcquireTimeout`. @default none */
  readonly timeout?: Duration.Input | undefined
}

/** How often the decision is begun anew when its lock is lost. */
const retries = 8

/**
 * The lease at a path, which is created by the first use. The record is
 * `<path>/lease_holder`, the lock lies beside it. Fails with `BadArguments` where
 * an argument is malformed.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.fnUntraced(function*(
  path: string,
  options: Options
): Effect.fn.Return<Lease, BadArguments, ZooKeeper> {
  const zk = yield* ZooKeeper
  const { identifier, timeout } = options
  const duration = Duration.toMillis(options.duration)
  // A Duration takes it for zero.
  if (Number.isNaN(options.duration) || !(duration >= 0 && duration <= longestDuration)) {
    return yield* new BadArguments({
      argument: "duration",
      value: String(options.duration),
      problem: "must be between 0 and 100 years"
    })
  }
  const lock = yield* Lock.make(path, { identifier })
  const record = ZnodePath.join(path, "lease_holder")

  const decode = (znode: Znode): Effect.Effect<LeaseRecord.LeaseRecord, NotALease> =>
    Result.match(LeaseRecord.decode(znode.data), {
      onSuccess: Effect.succeed,
      onFailure: (problem) => Effect.fail(new NotALease({ path: record, problem }))
    })

  const read = repeating(zk, zk.get(record)).pipe(
    Effect.asSome,
    Effect.catchTag("NoNode", () => Effect.succeedNone)
  )

  type DecisionError = NotALease | Grant.GrantLost | Exclude<Grant.AcquireError, Grant.AlreadyHeld>

  /** Reads, decides and writes, until it is sure that the record is as decided. */
  const decide = <A>(
    grant: Grant.Grant,
    f: (found: Option.Option<Znode>) => Effect.Effect<Decision<A>, NotALease>
  ): Effect.Effect<A, DecisionError> =>
    Effect.gen(function*() {
      while (true) {
        // The lock's znode was created behind the last change: what this server shows is not older.
        const { operations, result } = yield* f(yield* read)
        if (operations.length === 0) return result
        const isWritten = yield* grant.guard(operations).pipe(
          Effect.as(true),
          // It was written: then it is ours when it is read again. Or it was not.
          Effect.catchIf(isUnknown, () => Effect.succeed(false)),
          Effect.catchTag("TransactionFailed", (failed): Effect.Effect<boolean, DecisionError> => {
            switch (failed.error._tag) {
              // Somebody wrote without the lock.
              case "NoNode":
              case "NodeExists":
              case "BadVersion":
                return Effect.succeed(false)
              case "NotEmpty":
                return Effect.die(failed)
              default:
                return Effect.fail(failed.error)
            }
          })
        )
        if (isWritten) return result
      }
    })

  const underLock = <A>(
    f: (found: Option.Option<Znode>) => Effect.Effect<Decision<A>, NotALease>
  ): Effect.Effect<A, LeaseError> =>
    Effect.retry(
      lock.withLock((grant) => decide(grant, f), timeout === undefined ? {} : { timeout }),
      { while: ({ _tag }) => _tag === "GrantLost", times: retries }
    ).pipe(Telemetry.phase("lease", path))

  return {
    path,
    obtain: underLock((found) =>
      Effect.gen(function*() {
        const now = yield* Clock.currentTimeMillis
        if (Option.isSome(found)) {
          const { end, holder, version } = yield* decode(found.value)
          // Of a later format: for others to decide, as kazoo has it.
          if (version !== 1) return leave(Option.none<Held>())
          if (holder !== identifier && now < end) return leave(Option.none<Held>())
        }
        const end = LeaseRecord.wholeSecond(now + duration)
        const create = Transaction.create(record, LeaseRecord.encode({ version: 1, holder: identifier, end }))
        return {
          operations: Option.isSome(found) ? [Transaction.remove(record, found.value.stat.version), create] : [create],
          result: Option.some<Held>({ path: record, holder: identifier, end })
        }
      })
    ),
    release: Effect.suspend(() => {
      // Once we have seen it to be ours, that it is gone is our own doing, reply or no reply.
      let wasOurs = false
      return underLock((found) =>
        Effect.gen(function*() {
          if (Option.isNone(found)) return leave(wasOurs)
          const { holder, version } = yield* decode(found.value)
          if (version !== 1 || holder !== identifier) return leave(wasOurs)
          wasOurs = true
          return { operations: [Transaction.remove(record, found.value.stat.version)], result: true }
        })
      )
    }),
    holders: Effect.gen(function*() {
      const found = yield* read
      if (Option.isNone(found)) return []
      const { end, holder } = yield* decode(found.value)
      return (yield* Clock.currentTimeMillis) < end ? [{ path: record, holder, end }] : []
    })
  }
})

const longestDuration = 100 * 366 * 24 * 3_600_000

interface Decision<A> {
  readonly operations: ReadonlyArray<Transaction.Operation>
  readonly result: A
}

const leave = <A>(result: A): Decision<A> => ({ operations: [], result })

/**
 * Several leases of which one is obtained, at `<path>/0`, `<path>/1` and so on:
 * for a task that may run on `count` machines. The one that is ours already is
 * renewed; kazoo would take another one as soon as an earlier number is free.
 *
 * Fails with `BadArguments` where an argument is malformed.
 *
 * @example
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as Lease from "effect-zookeeper/recipe/Lease"
 *
 * export const oneOfThree = Effect.gen(function*() {
 *   const lease = yield* Lease.makeMulti("/leases/crawler", {
 *     count: 3,
 *     duration: "10 minutes",
 *     identifier: "host-7"
 *   })
 *   return yield* lease.obtain
 * })
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const makeMulti = Effect.fnUntraced(function*(
  path: string,
  options: Options & {
    /** How many there are, at least 1. The same for everybody. */
    readonly count: number
  }
): Effect.fn.Return<Lease, BadArguments, ZooKeeper> {
  const { count, identifier } = options
  yield* ZnodePath.validate(path)
  if (!Number.isSafeInteger(count) || count < 1 || count > 100_000) {
    return yield* new BadArguments({ argument: "count", value: String(count), problem: "must be from 1 to 100000" })
  }
  const leases = yield* Effect.forEach(
    Array.from({ length: count }, (_, number) => ZnodePath.join(path, String(number))),
    (path) => make(path, options)
  )
  const holders = Effect.map(Effect.forEach(leases, (lease) => lease.holders, { concurrency: 16 }), (all) => all.flat())
  return {
    path,
    obtain: Effect.gen(function*() {
      const held = yield* Effect.forEach(leases, (lease) => lease.holders, { concurrency: 16 })
      const isOurs = (index: number) => held[index]?.[0]?.holder === identifier
      const isFree = (index: number) => held[index]?.length === 0
      const inOrder = leases.map((lease, index) => ({ lease, rank: isOurs(index) ? 0 : isFree(index) ? 1 : 2 }))
      for (const { lease } of inOrder.filter(({ rank }) => rank < 2).toSorted((a, b) => a.rank - b.rank)) {
        const obtained = yield* lease.obtain
        if (Option.isSome(obtained)) return obtained
      }
      return Option.none()
    }),
    release: Effect.gen(function*() {
      let released = false
      for (const lease of leases) {
        const held = yield* lease.holders
        if (held[0]?.holder === identifier && (yield* lease.release)) released = true
      }
      return released
    }),
    holders
  }
})
