/**
 * Names of single znodes: those that nobody else has, and those that others give.
 */
import * as Effect from "effect/Effect"
import * as Uuid from "../../client/Uuid.ts"
import * as ZnodePath from "../../ZnodePath.ts"
import { BadArguments } from "../../ZooKeeperError.ts"

/** 32 lower-case hex digits, as kazoo writes its UUIDs. */
export const hex32: Effect.Effect<string> = Effect.map(Uuid.next, (uuid) => uuid.replaceAll("-", ""))

/** With hyphens, as Java writes them. */
export const uuid: Effect.Effect<string> = Uuid.next

/** A text that is to be one component of a path, or a part of one. */
export const component = (argument: string, text: string): Effect.Effect<string, BadArguments> => {
  const problem = text === ""
    ? "a name is not empty"
    : text.includes("/")
    ? "a name contains no \"/\" (ZnodePath.encodeSegment makes any text a legal name)"
    : ZnodePath.problemOf(`/${text}`)
  return problem === undefined
    ? Effect.succeed(text)
    : Effect.fail(new BadArguments({ argument, value: text.slice(0, 100), problem }))
}
