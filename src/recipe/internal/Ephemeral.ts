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
 * our own.
 */
export const held = (zk: Service, path: string, data: string): Effect.Effect<Stat, HoldError> => {
  const create = repeating(zk, zk.create(path, data, { mode: "ephemeral" }))
  const replace = repeating(
    zk,
    zk.transaction([Transaction.remove(path), Transaction.create(path, data, { mode: "ephemeral" })])
  )
  const look: Effect.Effect<Stat, HoldError> = Effect.gen(function*() {
    const { id } = yield* zk.session
    const found = yield* repeating(zk, zk.exists(path))
    if (Option.isNone(found)) return yield* again
    if (found.value.ephemeralOwner === id) return found.value
    yield* Effect.catchTag(replace, "TransactionFailed", gone)
    return yield* look
  })
  const again: Effect.Effect<Stat, HoldError> = Effect.suspend(() =>
    create.pipe(
      Effect.asVoid,
      Effect.catchTag("NodeExists", () => Effect.void),
      Effect.andThen(look)
    )
  )
  return again
}

/** The left-over went by itself, or the replacement had been made already. */
const gone = (failed: TransactionFailed): Effect.Effect<void, HoldError> => {
  switch (failed.error._tag) {
    case "NoNode":
    case "NodeExists":
      return Effect.void
    case "BadVersion":
    case "NotEmpty":
      return Effect.die(failed)
    default:
      return Effect.fail(failed.error)
  }
}
