/**
 * Ephemeral znodes with a unique name of our own.
 */
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

/**
 * Sees to it that the znode is there and belongs to the current session: it is
 * created, found again when the reply was lost, or replaced where it is left
 * over from a session before. The name must be unique, so that it can only be
 * our own. Its version can tell it from znodes of others.
 */
export const held = (zk: Service, path: string, data: string, version: 0 | 1 = 0): Effect.Effect<Stat, HoldError> => {
  const creation = [
    Transaction.create(path, data, { mode: "ephemeral" }),
    ...version === 0 ? [] : [Transaction.set(path, data)]
  ]
  const create = Effect.catchTag(repeating(zk, zk.transaction(creation)), "TransactionFailed", (failed) =>
    failed.error._tag === "NoNode" ? Effect.fail(failed.error) : gone(failed))
  const replace = repeating(zk, zk.transaction([Transaction.remove(path), ...creation]))
  const look: Effect.Effect<Stat, HoldError> = Effect.gen(function*() {
    const { id } = yield* zk.session
    const found = yield* repeating(zk, zk.exists(path))
    if (Option.isNone(found)) return yield* again
    if (found.value.ephemeralOwner === id) return found.value
    yield* Effect.catchTag(replace, "TransactionFailed", gone)
    return yield* look
  })
  const again: Effect.Effect<Stat, HoldError> = Effect.suspend(() =>
    Effect.andThen(create, look)
  )
  return again
}

/** What was left over went by itself, or it was made already. */
const gone = (failed: TransactionFailed): Effect.Effect<void, HoldError> => {
  switch (failed.error._tag) {
    case "NoNode":
      return failed.index === 0 ? Effect.void : Effect.fail(failed.error)
    case "NodeExists":
      return Effect.void
    case "BadVersion":
    case "NotEmpty":
      return Effect.die(failed)
    default:
      return Effect.fail(failed.error)
  }
}
