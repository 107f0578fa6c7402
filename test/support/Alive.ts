/** What a closed client could have left running. */
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"

/** Tells the effect how many fibers under it live now, its own not among them. */
export const countingFibers = <A, E, R>(
  effect: (alive: () => number) => Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> =>
  Effect.suspend(() => {
    let alive = 0
    return Effect.provideService(effect(() => alive), Metric.FiberRuntimeMetrics, {
      recordFiberStart: () => {
        alive++
      },
      recordFiberEnd: () => {
        alive--
      }
    })
  })

/** What keeps this process from its end, and who listens to it: sockets, timers, immediates, listeners, each by its kind. */
export const handles = (): Record<string, number> => {
  const kinds = [
    ...process.getActiveResourcesInfo(),
    ...process.eventNames().flatMap((name) => Array.from({ length: process.listenerCount(name) }, () => `listener of ${String(name)}`))
  ]
  return Object.fromEntries(kinds.toSorted().map((kind, _, all) => [kind, all.filter((other) => other === kind).length]))
}
