/**
 * Transactions whose outcome is known also when their reply is lost.
 *
 * Each of them moves the version of a *page* as well: an ephemeral znode with a
 * unique name that nobody else writes. When the reply is lost, the version that
 * the transaction would have used up is used up by another write. If that
 * succeeds, the transaction was not applied and never will be, wherever it may
 * still be on its way; if the version is gone, the page tells who took it. No
 * assumption about clocks, servers that lag, or the order of connections.
 *
 * What cannot be decided is a transaction whose session has ended meanwhile, for
 * the page has ended with it: that one fails as it did, with outcome `Unknown`.
 *
 * Pages lie beside the recipe's path, since many layouts count every child of
 * it, and are removed with the scope. Where a page may not be created (ACLs,
 * local sessions) transactions go out without one, and lost replies are `Unknown`.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import * as RetryPolicy from "../../RetryPolicy.ts"
import * as Transaction from "../../Transaction.ts"
import type { Stat } from "../../Znode.ts"
import type { OperationError, Service } from "../../ZooKeeper.ts"
import { ConnectionError, ConnectionLoss, type TransactionFailed } from "../../ZooKeeperError.ts"
import { uniqueName } from "./Ephemeral.ts"
import * as Removal from "./Removal.ts"
import { isUnknown, repeating } from "./Retrying.ts"

export interface Ledger {
  /**
   * All or nothing, and once. Returns the zxid. Fails with `TransactionFailed` where an operation
   * is refused, and with outcome `Unknown` only where the session ended in between.
   *
   * Interruption leaves a transaction to itself that was sent, unless it is firm:
   * then its outcome is waited for, and `firmly` is called if it was applied.
   */
  readonly commit: (
    operations: ReadonlyArray<Transaction.Operation>,
    firmly?: (zxid: bigint) => void
  ) => Effect.Effect<bigint, TransactionFailed | OperationError>
}

/** One transaction at a time uses a page; `version` is its version now, unless a transaction is in doubt. */
interface Page {
  readonly path: string
  version: number
  isInDoubt: boolean
}

/** Transactions on their way at once, and hence pages; more wait. */
const largestInFlight = 64

/** A request that never gets through, such as one that the server finds too large, is given up. */
const largestTries = 4

const committed = "1"
const annulled = "0"

/** Where a transaction wrote data, as with a page it always does; 0 where it did not. */
const zxidOf = (results: ReadonlyArray<string | Stat | void>): bigint => {
  const written = results.findLast((result) => typeof result === "object")
  return written?.mzxid ?? 0n
}

/** For the recipe at a path, as long as the scope. */
export const make = (zk: Service, path: string): Effect.Effect<Ledger, never, Scope.Scope> =>
  Effect.gen(function*() {
    const slots = Semaphore.makeUnsafe(largestInFlight)
    const idle: Array<Page> = []
    let isPossible = true
    let isClosed = false

    const remove = ({ path }: Pick<Page, "path">): Effect.Effect<void> =>
      Removal.inBackground(zk, Removal.untilGone(zk, path))

    // A page that is in use removes itself afterwards.
    yield* Effect.addFinalizer(() =>
      Effect.suspend(() => {
        isClosed = true
        return Effect.forEach(idle.splice(0), remove, { concurrency: "unbounded", discard: true })
      })
    )

    /**
     * Creates a page; `undefined` where that cannot be. Only what may have been done is repeated here: the rest
     * is for who repeats the transaction.
     */
    const open: Effect.Effect<Page | undefined, OperationError> = Effect.flatMap(uniqueName, (unique) => {
      const name = `${path}-__ledger__-${unique}`
      let mayExist = false
      const create = Effect.tapError(zk.create(name, "", { mode: "ephemeral" }), (error) =>
        Effect.sync(() => {
          mayExist ||= isUnknown(error)
        }))
      return Effect.retry(create, { schedule: RetryPolicy.command, while: isUnknown }).pipe(
        Effect.asVoid,
        // Only the repetition of a create whose reply was lost can meet its own name.
        Effect.catchTag("NodeExists", () => Effect.void),
        Effect.map((): Page => ({ path: name, version: 0, isInDoubt: false })),
        Effect.onExit((exit) =>
          Exit.isFailure(exit) && (mayExist || Cause.hasInterrupts(exit.cause)) ? remove({ path: name }) : Effect.void
        ),
        Effect.catch((error): Effect.Effect<undefined, OperationError> => {
          if (error._tag === "NoAuth" || error._tag === "NoChildrenForEphemerals") isPossible = false
          else if (error._tag === "ConnectionError") {
            if (error.reason._tag !== "EphemeralOnLocalSession") return Effect.fail(error)
            isPossible = false
          } else if (error._tag === "BadArguments") return Effect.fail(error)
          // Otherwise the path's parent is missing, as the transaction will find as well.
          return Effect.undefined
        })
      )
    })

    /** The zxid of a transaction whose reply was lost with this error, `undefined` if it was not applied. */
    const settle = (page: Page, error: ConnectionError): Effect.Effect<bigint | undefined, ConnectionError> =>
      repeating(
        zk,
        zk.set(page.path, annulled, page.version).pipe(
          Effect.as(undefined),
          Effect.catchTag("BadVersion", () =>
            // Who took the version: the transaction, or an annulment whose own reply was lost?
            Effect.andThen(zk.sync(page.path), zk.get(page.path)).pipe(
              Effect.map(({ data, stat }) => new TextDecoder().decode(data) === committed ? stat.mzxid : undefined)
            ))
        )
      ).pipe(
        // The page is gone with its session, or this client came to its end.
        Effect.mapError(() => error)
      )

    /** `undefined` where it was certainly not applied, and is to be tried again. */
    const attempt = (
      page: Page,
      operations: ReadonlyArray<Transaction.Operation>
    ): Effect.Effect<bigint | undefined, TransactionFailed | OperationError> =>
      Effect.suspend(() => {
        page.isInDoubt = true
        return zk.transaction([...operations, Transaction.set(page.path, committed, page.version)])
      }).pipe(
        Effect.map(zxidOf),
        Effect.catchIf(isUnknown, (error) => settle(page, error)),
        Effect.tap(() =>
          Effect.sync(() => {
            page.version += 1
            page.isInDoubt = false
          })
        ),
        Effect.catchTag("TransactionFailed", (error) => {
          // The page is gone, with its session. Nothing was applied.
          if (error.index === operations.length) return Effect.undefined
          page.isInDoubt = false
          return Effect.fail(error)
        }),
        Effect.tapError((error) =>
          Effect.sync(() => {
            if (!isUnknown(error)) page.isInDoubt = false
          })
        ),
        Effect.onExit(() =>
          page.isInDoubt || isClosed ? remove(page) : Effect.sync(() => void idle.push(page))
        )
      )

    const commit: Ledger["commit"] = (operations, firmly) =>
      Effect.gen(function*() {
        for (let tries = 1; tries <= largestTries; tries++) {
          const page = isPossible ? idle.pop() ?? (yield* open) : undefined
          const once = page === undefined ? Effect.map(zk.transaction(operations), zxidOf) : attempt(page, operations)
          const zxid = yield* firmly === undefined ? once : Effect.uninterruptible(Effect.tap(once, (zxid) =>
            Effect.sync(() => {
              if (zxid !== undefined) firmly(zxid)
            })))
          if (zxid !== undefined) return zxid
        }
        return yield* new ConnectionError({
          reason: new ConnectionLoss({ detail: `no reply in ${largestTries} tries` }),
          outcome: "NotApplied",
          operation: "transaction",
          path
        })
      })

    return { commit: (operations, firmly) => slots.withPermit(commit(operations, firmly)) }
  })
