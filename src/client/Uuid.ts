/**
 * Unique names, for znodes that must be found again when a reply was lost.
 *
 * They come from the platform's cryptographic generator and not from Effect's
 * `Random`: two processes of a program that seeds its `Random` would draw the
 * same names, and take each other's znodes for their own. Only the test layer
 * puts {@link seeded} in its place, so that equal seeds make equal runs.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"

/** How a UUID (version 4, with hyphens) is drawn. */
export const Uuid = Context.Reference<Effect.Effect<string>>("effect-zookeeper/client/Uuid", {
  defaultValue: () => Effect.sync(() => globalThis.crypto.randomUUID())
})

/** The next one. */
export const next: Effect.Effect<string> = Effect.flatMap(Uuid, (draw) => draw)

const digits = (value: number): string => value.toString(16).padStart(4, "0")

/** From Effect's `Random`. */
export const seeded: Effect.Effect<string> = Effect.map(
  Effect.all(Array.from({ length: 8 }, () => Random.nextIntBetween(0, 0xffff))),
  (drawn) => {
    const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0] = drawn
    const version = digits(d & 0x0fff | 0x4000)
    const variant = digits(e & 0x3fff | 0x8000)
    return `${digits(a)}${digits(b)}-${digits(c)}-${version}-${variant}-${digits(f)}${digits(g)}${digits(h)}`
  }
)
