/**
 * Refuses to wait for what one holds oneself: such a wait would never end.
 *
 * Known are the grants in whose protected effect a fiber runs (its children
 * too: they are waited for as a rule), and those that the fiber itself acquired
 * for a scope.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import type { Service } from "../../ZooKeeper.ts"
import { AlreadyHeld, type Grant, type GrantLost } from "../Grant.ts"

/** What is wanted of a path, of which there is so much. */
export interface Wanted {
  readonly zk: Service
  readonly path: string
  readonly weight: number
  readonly limit: number
}

interface Held extends Wanted {
  readonly grant: Grant
}

const around = Context.Reference<ReadonlyArray<Held>>("effect-zookeeper/recipe/Reentrancy", {
  defaultValue: () => []
})

/** By fiber: what it acquired for scopes that are still open. */
const acquired = new Map<number, ReadonlyArray<Held>>()

const acquiredBy = (fiber: number): ReadonlyArray<Held> => acquired.get(fiber) ?? []

const refuse = ({ limit, path, weight, zk }: Wanted): Effect.Effect<void, AlreadyHeld> =>
  Effect.gen(function*() {
    const known = new Set([...yield* around, ...acquiredBy(yield* Effect.fiberId)])
    let own = 0
    for (const held of known) {
      // What is lost or released meanwhile is waited for by right.
      if (held.zk === zk && held.path === path && (yield* held.grant.isValid)) own += held.weight
    }
    if (own + weight > limit) return yield* new AlreadyHeld({ path })
  })

const remember = (held: Held): Effect.Effect<void, never, Scope.Scope> =>
  Effect.gen(function*() {
    const fiber = yield* Effect.fiberId
    acquired.set(fiber, [...acquiredBy(fiber), held])
    yield* Scope.addFinalizer(
      yield* Effect.scope,
      Effect.sync(() => {
        const left = acquiredBy(fiber).filter((each) => each !== held)
        if (left.length === 0) acquired.delete(fiber)
        else acquired.set(fiber, left)
      })
    )
  })

export const acquire = <E, R>(
  wanted: Wanted,
  effect: Effect.Effect<Grant, E, R>
): Effect.Effect<Grant, E | AlreadyHeld, R | Scope.Scope> =>
  Effect.andThen(refuse(wanted), Effect.tap(effect, (grant) => remember({ ...wanted, grant })))

export const tryAcquire = <E, R>(
  wanted: Wanted,
  effect: Effect.Effect<Option.Option<Grant>, E, R>
): Effect.Effect<Option.Option<Grant>, E | AlreadyHeld, R | Scope.Scope> =>
  Effect.andThen(
    refuse(wanted),
    Effect.tap(effect, (grant) =>
      Option.isSome(grant) ? remember({ ...wanted, grant: grant.value }) : Effect.void)
  )

/** Acquires for as long as an effect runs, which is interrupted when the grant is lost. */
export const hold = <A, E, R, E2, R2>(
  acquire: Effect.Effect<Grant, E2, R2>,
  effect: Effect.Effect<A, E, R> | ((grant: Grant) => Effect.Effect<A, E, R>)
): Effect.Effect<A, E | E2 | GrantLost, R | Exclude<R2, Scope.Scope>> =>
  Effect.scoped(Effect.gen(function*() {
    const grant = yield* acquire
    // The effect runs in a fiber of its own.
    const held = [...yield* around, ...acquiredBy(yield* Effect.fiberId)]
    return yield* grant.protect(
      Effect.provideService(Effect.isEffect(effect) ? effect : Effect.suspend(() => effect(grant)), around, held)
    )
  }))
