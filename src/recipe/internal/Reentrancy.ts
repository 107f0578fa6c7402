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

interface Held {
  readonly zk: Service
  readonly path: string
  readonly grant: Grant
}

const around = Context.Reference<ReadonlyArray<Held>>("effect-zookeeper/recipe/Reentrancy", {
  defaultValue: () => []
})

/** By client and fiber: what was acquired for a scope that is still open. */
const acquired = new WeakMap<Service, Map<number, Array<string>>>()

const refuse = (zk: Service, path: string): Effect.Effect<void, AlreadyHeld> =>
  Effect.gen(function*() {
    const fiber = yield* Effect.fiberId
    const isOwn = acquired.get(zk)?.get(fiber)?.includes(path) ?? false
    if (isOwn) return yield* new AlreadyHeld({ path })
    for (const held of yield* around) {
      // What is lost or released meanwhile is waited for by right.
      if (held.zk === zk && held.path === path && (yield* held.grant.isValid)) return yield* new AlreadyHeld({ path })
    }
  })

const remember = (zk: Service, path: string): Effect.Effect<void, never, Scope.Scope> =>
  Effect.gen(function*() {
    const fiber = yield* Effect.fiberId
    const fibers = acquired.get(zk) ?? new Map<number, Array<string>>()
    acquired.set(zk, fibers)
    fibers.set(fiber, [...fibers.get(fiber) ?? [], path])
    yield* Scope.addFinalizer(
      yield* Effect.scope,
      Effect.sync(() => {
        const left = [...fibers.get(fiber) ?? []]
        left.splice(left.indexOf(path), 1)
        if (left.length === 0) fibers.delete(fiber)
        else fibers.set(fiber, left)
      })
    )
  })

export const acquire = <E, R>(
  zk: Service,
  path: string,
  effect: Effect.Effect<Grant, E, R>
): Effect.Effect<Grant, E | AlreadyHeld, R | Scope.Scope> =>
  Effect.andThen(refuse(zk, path), Effect.tap(effect, () => remember(zk, path)))

export const tryAcquire = <E, R>(
  zk: Service,
  path: string,
  effect: Effect.Effect<Option.Option<Grant>, E, R>
): Effect.Effect<Option.Option<Grant>, E | AlreadyHeld, R | Scope.Scope> =>
  Effect.andThen(
    refuse(zk, path),
    Effect.tap(effect, (grant) => Option.isSome(grant) ? remember(zk, path) : Effect.void)
  )

/** Acquires for as long as an effect runs, which is interrupted when the grant is lost. */
export const hold = <A, E, R, E2, R2>(
  zk: Service,
  path: string,
  acquire: Effect.Effect<Grant, E2, R2>,
  effect: Effect.Effect<A, E, R> | ((grant: Grant) => Effect.Effect<A, E, R>)
): Effect.Effect<A, E | E2 | GrantLost, R | Exclude<R2, Scope.Scope>> =>
  Effect.scoped(
    Effect.flatMap(acquire, (grant) =>
      Effect.flatMap(around, (held) =>
        grant.protect(Effect.provideService(
          Effect.isEffect(effect) ? effect : Effect.suspend(() => effect(grant)),
          around,
          [...held, { zk, path, grant }]
        ))))
  )
