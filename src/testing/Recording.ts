/** Streams whose elements a test takes one by one. */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"

export interface Recording<A, E> {
  /** Everything so far. */
  readonly seen: ReadonlyArray<A>
  /** The next element that was not taken yet. */
  readonly next: Effect.Effect<A>
  /** Takes elements up to the first one that fits, and returns all of them. */
  readonly upTo: (predicate: (a: A) => boolean) => Effect.Effect<ReadonlyArray<A>>
  /** How the stream ended. */
  readonly end: Effect.Effect<void, E>
  /** Unsubscribes. */
  readonly stop: Effect.Effect<void>
}

/** Runs a stream from now on: it is subscribed when this returns. */
export const record = <A, E>(stream: Stream.Stream<A, E>): Effect.Effect<Recording<A, E>, never, Scope.Scope> =>
  Effect.gen(function*() {
    const seen: Array<A> = []
    const queue = yield* Queue.unbounded<A>()
    const fiber = yield* Effect.forkScoped(
      Stream.runForEach(stream, (element) =>
        Effect.sync(() => {
          seen.push(element)
          Queue.offerUnsafe(queue, element)
        })),
      { startImmediately: true }
    )
    const next = Queue.take(queue)
    return {
      seen,
      next,
      upTo: (predicate) =>
        Effect.gen(function*() {
          const taken: Array<A> = []
          while (true) {
            const element = yield* next
            taken.push(element)
            if (predicate(element)) return taken
          }
        }),
      end: Fiber.join(fiber),
      stop: Fiber.interrupt(fiber)
    }
  })

const decoder = new TextDecoder()

/** The data of a znode as text, `None` where there is no znode. */
export const text: (znode: Option.Option<{ readonly data: Uint8Array }>) => Option.Option<string> = Option.map(
  ({ data }) => decoder.decode(data)
)

/** The sorted names of the children, `None` where there is no znode. */
export const names: (
  children: Option.Option<{ readonly children: ReadonlyArray<string> }>
) => Option.Option<ReadonlyArray<string>> = Option.map(({ children }) => children.toSorted())
