/**
 * Ephemeral znodes with a unique name of our own.
 */
import { isReadonlyArrayNonEmpty, type NonEmptyReadonlyArray } from "effect/Array"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Uuid from "../../client/Uuid.ts"
import * as Transaction from "../../Transaction.ts"
import type { Stat } from "../../Znode.ts"
import type { CreateError, Service } from "../../ZooKeeper.ts"
import type { TransactionFailed } from "../../ZooKeeperError.ts"
import { repeating } from "./Retrying.ts"

export type HoldError = Exclude<CreateError, { readonly _tag: "NodeExists" }>

/** 32 hex digits, as kazoo's. */
export const uniqueName: Effect.Effect<string> = Effect.map(Uuid.next, (uuid) => uuid.replaceAll("-", ""))

/** A znode of our own; the version can tell it from znodes of others. */
export interface Own {
  readonly path: string
  readonly data: string
  /** @default 0 */
  readonly version?: 0 | 1 | undefined
}

/**
 * Sees to it that the znodes are there and belong to the current session: they are
 * created, found again when the reply was lost, or replaced where they are left
 * over from a session before; all of them in one transaction, so that nobody sees
 * one without the others. The names must be unique, so that they can only be our
 * own.
 */
export const held = (zk: Service, znodes: NonEmptyReadonlyArray<Own>): Effect.Effect<NonEmptyReadonlyArray<Stat>, HoldError> => {
  const creation = znodes.flatMap(({ data, path, version = 0 }) => [
    Transaction.create(path, data, { mode: "ephemeral" }),
    ...version === 0 ? [] : [Transaction.set(path, data)]
  ])
  const create = (stale: ReadonlyArray<string>) =>
    Effect.catchTag(
      repeating(zk, zk.transaction([...stale.map((path) => Transaction.remove(path)), ...creation])),
      "TransactionFailed",
      (failed) => gone(failed, stale.length)
    )
  const look: Effect.Effect<NonEmptyReadonlyArray<Stat>, HoldError> = Effect.gen(function*() {
    const { id } = yield* zk.session
    const found = yield* repeating(zk, Effect.forEach(znodes, ({ path }) => zk.exists(path)))
    const ours = found.flatMap((stat) => Option.isSome(stat) && stat.value.ephemeralOwner === id ? [stat.value] : [])
    if (ours.length === znodes.length && isReadonlyArrayNonEmpty(ours)) return ours
    yield* create(znodes.flatMap(({ path }, index) => found[index]?._tag === "Some" ? [path] : []))
    return yield* look
  })
  return Effect.andThen(create([]), look)
}

/** What was left over went by itself, or it was made already. */
const gone = (failed: TransactionFailed, removals: number): Effect.Effect<void, HoldError> => {
  switch (failed.error._tag) {
    case "NoNode":
      return failed.index < removals ? Effect.void : Effect.fail(failed.error)
    case "NodeExists":
      return Effect.void
    case "BadVersion":
    case "NotEmpty":
      return Effect.die(failed)
    default:
      return Effect.fail(failed.error)
  }
}
