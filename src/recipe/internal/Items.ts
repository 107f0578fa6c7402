/**
 * Taking items out of a directory of znodes, one item each: what all queues
 * without claims have in common.
 *
 * An item is read first and removed then, in a transaction of the {@link Ledger},
 * so that a lost reply does not lose the item: whoever removed it has it.
 */
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import * as Telemetry from "../../client/Telemetry.ts"
import * as Transaction from "../../Transaction.ts"
import type { Znode } from "../../Znode.ts"
import * as ZnodePath from "../../ZnodePath.ts"
import type { CreateError, Data, OperationError, Service } from "../../ZooKeeper.ts"
import { BadArguments, ConnectionError, type NoAuth, type TransactionFailed } from "../../ZooKeeperError.ts"
import { SequenceExhausted } from "../Grant.ts"
import * as Ledger from "./Ledger.ts"
import { awaiting, isUnknown, repeating, retrying } from "./Retrying.ts"

const TypeId = "~effect-zookeeper/recipe/Queue"

/** Re-exported by the queues. */
export class ItemInDoubt extends Schema.TaggedError<ItemInDoubt>(`${TypeId}/ItemInDoubt`)("ItemInDoubt", {
  /** The znode of the item. */
  path: Schema.String,
  /** The item. */
  data: Schema.Uint8Array,
  /** What happened to the request that was to remove it. */
  cause: ConnectionError
}) {
  override get message() {
    return `${this.path} was removed either by us or by another taker: no answer came, and the session has ended`
  }
}

/** Re-exported by the queues. `NoNode` and `NodeExists` need somebody who deletes what the queue needs. */
export type OfferError = CreateError

/** Re-exported by the queues. */
export type TakeError = ItemInDoubt | SequenceExhausted | Exclude<CreateError, { readonly _tag: "NodeExists" }>

/** Re-exported by the queues. */
export class ItemNotPutBack extends Schema.TaggedError<ItemNotPutBack>(`${TypeId}/ItemNotPutBack`)("ItemNotPutBack", {
  /** The znode that it had. */
  path: Schema.String,
  /** The item. */
  data: Schema.Uint8Array,
  /** Why not; with outcome `Unknown` it may have been. */
  cause: Schema.Unknown
}) {
  override get message() {
    return `${this.path} was taken, was not done, and could not be put back: the item is in this error only`
  }
}

/** What of the children may be taken now, the first first, and when (ms since the epoch) more may be. */
export interface Ready {
  readonly names: ReadonlyArray<string>
  readonly next?: number | undefined
}

export interface Item {
  readonly name: string
  readonly data: Uint8Array
}

export interface Items {
  /** Creates items, all or none, each with a name that the server completes. */
  readonly offer: (
    items: ReadonlyArray<{ readonly prefix: string; readonly data: Data }>
  ) => Effect.Effect<void, OfferError>
  readonly poll: Effect.Effect<Option.Option<Item>, TakeError>
  readonly take: Effect.Effect<Item, TakeError>
  /** Takes an item for an effect, and puts it back to its place where that fails or is interrupted. */
  readonly process: <A, E, R>(
    f: (item: Item) => Effect.Effect<A, E, R>
  ) => Effect.Effect<A, E | TakeError | ItemNotPutBack, R>
  readonly size: Effect.Effect<number, NoAuth | OperationError>
}

export interface Settings {
  readonly path: string
  /** What precedes the server's number in the names of items. */
  readonly prefix: RegExp
  readonly ready: (children: ReadonlyArray<string>, now: number) => Ready
  /** Beside which path the pages of the ledger lie. @default path */
  readonly beside?: string | undefined
  /** Where others claim items, with a znode of the item's name; what is claimed is left to them. */
  readonly claims?: string | undefined
}

/** The error of the operation that made the transaction fail. */
export const culprit = (failed: TransactionFailed): Effect.Effect<never, OfferError> =>
  failed.error._tag === "BadVersion" || failed.error._tag === "NotEmpty"
    ? Effect.die(failed)
    : Effect.fail(failed.error)

/** Names in the order of their text, as kazoo and Curator sort them, if the server's numbers still tell it. */
export const inOrder = (names: ReadonlyArray<string>): ReadonlyArray<string> => names.toSorted()

/** Whether the server's number behind the prefix has wrapped. */
export const isExhausted = (prefix: RegExp) => (name: string): boolean =>
  prefix.test(name) && name.replace(prefix, "").startsWith("-")

/** The beginning of the names that kazoo gives to items of a priority. */
export const kazooPrefix = (priority = 100): Effect.Effect<string, BadArguments> =>
  Number.isInteger(priority) && priority >= 0 && priority <= 999
    ? Effect.succeed(`entry-${String(priority).padStart(3, "0")}-`)
    : Effect.fail(
      new BadArguments({ argument: "priority", value: String(priority), problem: "must be a whole number, 0 to 999" })
    )

/** Timers have no more than 31 bits; waking up in between does no harm. */
const longestSleep = 3_600_000

/**
 * Runs an effect that may take long to be interrupted. The caller is not kept
 * waiting: what is to be undone is undone in the background.
 */
export const abandoning = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  undo: Effect.Effect<void>
): Effect.Effect<A, E, R> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(Effect.forkDetach(Effect.interruptible(effect), { startImmediately: true }), (fiber) =>
      Effect.onInterrupt(restore(Fiber.join(fiber)), () =>
        Effect.forkDetach(Effect.andThen(Fiber.interrupt(fiber), undo), { startImmediately: true })))
  )

const sleepUntil = (time: number): Effect.Effect<void> =>
  Effect.flatMap(Clock.currentTimeMillis, (now) =>
    now < time ? Effect.sleep(Math.min(time - now, longestSleep)) : Effect.void)

/** As long as the scope. */
export const make = (zk: Service, settings: Settings): Effect.Effect<Items, BadArguments, Scope.Scope> =>
  Effect.gen(function*() {
    const { beside, claims, path, prefix } = settings
    yield* ZnodePath.validate(path)
    if (path === "/") {
      return yield* new BadArguments({ argument: "path", value: path, problem: "the root cannot be a queue" })
    }
    const ledger = yield* Ledger.make(zk, beside ?? path)
    const waiting = Semaphore.makeUnsafe(1)
    /** Names that fibers of this client are busy with: no use to compete for them. */
    const busy = new Set<string>()
    /** Done when a poller leaves a name whose item it has not taken: the one that waits may have passed it over. */
    let freed = Deferred.makeUnsafe<void>()
    let isEnsured = false

    const ensure = Effect.suspend(() =>
      isEnsured
        ? Effect.void
        : Effect.forEach(claims === undefined ? [path] : [path, claims], (each) =>
          repeating(zk, zk.ensurePath(each)), { discard: true }).pipe(
            Effect.map(() => {
              isEnsured = true
            })
          )
    )

    /** Refused where the item is claimed. */
    const unclaimed = (name: string): ReadonlyArray<Transaction.Operation> => {
      if (claims === undefined) return []
      const claim = ZnodePath.join(claims, name)
      return [Transaction.create(claim, "", { mode: "ephemeral" }), Transaction.remove(claim)]
    }

    /** The path may be deleted by others at any time, and is made again. */
    const inPath = <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E | OfferError> =>
      Effect.andThen(ensure, effect).pipe(
        Effect.catchIf(isNoNode, () =>
          Effect.suspend(() => {
            isEnsured = false
            return Effect.andThen(ensure, effect)
          }))
      )

    const offer: Items["offer"] = (items) =>
      items.length === 0 ? Effect.void : inPath(
        retrying(
          zk,
          ledger.commit(items.map(({ data, prefix }) =>
            Transaction.create(ZnodePath.join(path, prefix), data, { mode: "persistentSequential" })
          ))
        ).pipe(Effect.catchTag("TransactionFailed", culprit))
      )

    /** Whether the item is ours now. */
    const remove = (item: Item, { stat }: Znode, removed: () => void): Effect.Effect<boolean, TakeError> =>
      Effect.gen(function*() {
        const at = ZnodePath.join(path, item.name)
        const operations = [Transaction.remove(at, stat.version), ...unclaimed(item.name)]
        let doubt: ConnectionError | undefined
        for (let tries = 0; tries < 4; tries++) {
          const outcome = yield* retrying(zk, ledger.commit(operations, removed)).pipe(
            Effect.as("removed" as const),
            Effect.catchTag("TransactionFailed", (failed): Effect.Effect<"refused", TakeError> => {
              switch (failed.error._tag) {
                case "NoNode":
                case "BadVersion":
                case "NodeExists":
                case "NotEmpty":
                  return Effect.succeed("refused")
                default:
                  return Effect.fail(failed.error)
              }
            }),
            // Trying again finds out whether it was not; that another was faster may then be our own first try.
            Effect.catchIf(isUnknown, (error) => Effect.succeed(error))
          )
          if (outcome === "removed") return true
          if (outcome !== "refused") doubt = outcome
          else if (doubt === undefined) return false
          else break
        }
        return doubt === undefined ? false : yield* new ItemInDoubt({ path: at, data: item.data, cause: doubt })
      })

    const returned = (item: Item): Effect.Effect<void, ItemNotPutBack> => {
      const at = ZnodePath.join(path, item.name)
      return inPath(
        retrying(zk, ledger.commit([Transaction.create(at, item.data)])).pipe(
          Effect.catchTag("TransactionFailed", culprit)
        )
      ).pipe(
        Effect.asVoid,
        Effect.mapError((cause) => new ItemNotPutBack({ path: at, data: item.data, cause }))
      )
    }

    const logged = Effect.catch(({ cause, message }: ItemNotPutBack) =>
      Effect.logError(message).pipe(Effect.annotateLogs({ reason: String(cause) }))
    )

    const putBack = (item: Item): Effect.Effect<void> => logged(returned(item))

    /** A removal that was sent is seen through whatever becomes of the caller; then the item goes back to its place. */
    const claim = (item: Item, znode: Znode): Effect.Effect<boolean, TakeError> =>
      Effect.suspend(() => {
        let isOurs = false
        const removal = remove(item, znode, () => {
          isOurs = true
        })
        const orPutBack = Effect.suspend(() => isOurs ? putBack(item) : Effect.void)
        return abandoning(removal, orPutBack)
      })

    const attempt = (name: string): Effect.Effect<Option.Option<Item>, TakeError> =>
      Effect.gen(function*() {
        const read = yield* repeating(zk, zk.get(ZnodePath.join(path, name))).pipe(
          Effect.asSome,
          Effect.catchTag("NoNode", () => Effect.succeedNone)
        )
        if (Option.isNone(read)) return Option.none()
        const item = { name, data: read.value.data }
        return (yield* claim(item, read.value)) ? Option.some(item) : Option.none()
      })

    const firstOf = (
      names: ReadonlyArray<string>,
      isPolling: boolean
    ): Effect.Effect<Option.Option<Item>, TakeError> =>
      Effect.gen(function*() {
        if (names.some(isExhausted(prefix))) return yield* new SequenceExhausted({ path })
        for (const name of names) {
          if (busy.has(name)) continue
          busy.add(name)
          const taken = yield* Effect.onExit(attempt(name), (exit) =>
            Effect.sync(() => {
              busy.delete(name)
              if (!isPolling || Exit.isSuccess(exit) && Option.isSome(exit.value)) return
              Deferred.doneUnsafe(freed, Exit.void)
              freed = Deferred.makeUnsafe()
            }))
          if (Option.isSome(taken)) return taken
        }
        return Option.none()
      })

    const poll: Items["poll"] = inPath(Effect.gen(function*() {
      const children = yield* repeating(zk, zk.getChildren(path))
      const { names } = settings.ready(children, yield* Clock.currentTimeMillis)
      return yield* firstOf(names, true)
    })).pipe(Effect.catchTag("NodeExists", Effect.die))

    const wait: Items["take"] = Effect.suspend(() =>
      inPath(Effect.scoped(Effect.gen(function*() {
        const anyFreed = Deferred.await(freed)
        const claimed = claims === undefined ? undefined : yield* repeating(zk, zk.getChildrenAndWatch(claims))
        const { event, value } = yield* repeating(zk, zk.getChildrenAndWatch(path))
        const isClaimed = new Set(claimed?.value.children)
        const { names, next } = settings.ready(
          value.children.filter((name) => !isClaimed.has(name)),
          yield* Clock.currentTimeMillis
        )
        const taken = yield* firstOf(names, false)
        if (Option.isSome(taken)) return taken
        const due = next === undefined ? Effect.never : sleepUntil(next)
        yield* Effect.raceAllFirst([awaiting(zk, Effect.raceFirst(event, claimed?.event ?? Effect.never)), anyFreed, due])
        return taken
      })))
    ).pipe(
      Effect.catchTag("NodeExists", Effect.die),
      Effect.flatMap(Option.match({ onNone: () => wait, onSome: Effect.succeed }))
    )

    // One fiber of this client watches; the others wait for it, and are not woken all at once.
    const take = Effect.flatMap(
      poll,
      Option.match({ onNone: () => waiting.withPermit(wait), onSome: Effect.succeed })
    ).pipe(Telemetry.phase("take", path))

    const process: Items["process"] = (f) =>
      Effect.uninterruptibleMask((restore) =>
        Effect.flatMap(restore(take), (item) =>
          Effect.catchCause(restore(Effect.suspend(() => f(item))), (cause) =>
            Effect.flatMap(Effect.forkDetach(returned(item), { startImmediately: true }), (returning) =>
              // Who interrupts is not kept waiting.
              restore(Fiber.join(returning)).pipe(
                Effect.onInterrupt(() => Effect.forkDetach(logged(Fiber.join(returning)))),
                Effect.andThen(Effect.failCause(cause))
              ))))
      )

    return {
      offer: (all) => Telemetry.phase("offer", path)(offer(all)),
      poll: Telemetry.phase("poll", path)(poll),
      take,
      process,
      size: Effect.map(
        repeating(zk, zk.exists(path)),
        Option.match({ onNone: () => 0, onSome: ({ numChildren }) => numChildren })
      )
    }
  })

const isNoNode = (error: unknown): boolean =>
  typeof error === "object" && error !== null && "_tag" in error && error._tag === "NoNode"
