/**
 * What is acquired wholly or not at all, in a scope that may go on either way.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"

/** Keeps what was acquired only if the result wants it; else all of it is released before this ends. */
export const keepingIf = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  isWanted: (a: A) => boolean
): Effect.Effect<A, E, R | Scope.Scope> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.gen(function*() {
      const scope = yield* Scope.fork(yield* Effect.scope)
      return yield* restore(Effect.provideService(effect, Scope.Scope, scope)).pipe(
        Effect.onExit((exit) => Exit.isSuccess(exit) && isWanted(exit.value) ? Effect.void : Scope.close(scope, exit))
      )
    })
  )

/** Keeps what was acquired only if all of it was. */
export const wholly = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R | Scope.Scope> =>
  keepingIf(effect, () => true)
