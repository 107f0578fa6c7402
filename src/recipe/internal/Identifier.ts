/**
 * Names that nobody else has.
 */
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"

const word = Effect.map(Random.next, (value) => Math.floor(value * 2 ** 32).toString(16).padStart(8, "0"))

/** 32 lower-case hex digits, as kazoo writes its UUIDs. */
export const hex32: Effect.Effect<string> = Effect.map(
  Effect.all([word, word, word, word]),
  (words) => words.join("")
)
