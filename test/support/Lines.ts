/** Everything that is logged, at any level, as text. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as References from "effect/References"
import { inspect } from "node:util"

/** Runs a program and returns its result with all that it has logged. */
export const logged = <A, E, R>(program: Effect.Effect<A, E, R>): Effect.Effect<readonly [A, string], E, R> =>
  Effect.suspend(() => {
    const lines: Array<string> = []
    const logger = Logger.make(({ cause, fiber, message }) => {
      lines.push(inspect([message, cause, fiber.getRef(References.CurrentLogAnnotations)], { depth: 20 }))
    })
    return program.pipe(
      Effect.provide(Layer.merge(Logger.layer([logger]), Layer.succeed(References.MinimumLogLevel, "Trace"))),
      Effect.map((value) => [value, lines.join("\n")] as const)
    )
  })
