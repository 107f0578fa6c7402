/**
 * The ensemble's configuration as it goes over the wire.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { type Change, configPath, type EnsembleConfig, formatMember, type Member, parse, parseMember } from "../EnsembleConfig.ts"
import { type BadArguments, ConnectionError, Protocol as ProtocolReason } from "../ZooKeeperError.ts"
import { refuse } from "./Arguments.ts"

export interface Request {
  readonly joiningServers: string | null
  readonly leavingServers: string | null
  readonly newMembers: string | null
  readonly curConfigId: bigint
}

const utf8 = new TextDecoder()

/** What a server sent. */
export const decode = (data: Uint8Array): Effect.Effect<EnsembleConfig, ConnectionError> =>
  Effect.mapError(
    Effect.fromResult(parse(utf8.decode(data))),
    (detail) =>
      new ConnectionError({
        reason: new ProtocolReason({ detail: `unreadable configuration: ${detail}` }),
        outcome: "NotApplied",
        path: configPath
      })
  )

const lineOf = (member: Member | string): Result.Result<string, string> =>
  typeof member === "string" ? Result.map(parseMember(member), () => member.trim()) : Result.succeed(formatMember(member))

/** `null` where nobody is named. */
const linesOf = (members: ReadonlyArray<Member | string> = []): Result.Result<string | null, string> =>
  Result.map(Result.all(members.map(lineOf)), (lines) => lines.length === 0 ? null : lines.join())

/** What goes to the server; refused here where it is malformed. */
export const requestOf = (change: Change): Result.Result<Request, BadArguments> => {
  const all = "members" in change ? change.members : undefined
  const { joining, leaving = [] } = "members" in change ? {} : change
  return Result.mapError(
    Result.gen(function*() {
      const newMembers = yield* linesOf(all)
      const joiningServers = yield* linesOf(joining)
      const leavingServers = leaving.length === 0 ? null : leaving.join()
      if (leaving.some((id) => !Number.isSafeInteger(id) || id < 0)) {
        return yield* Result.fail("members leave by their number")
      }
      if (newMembers === null && joiningServers === null && leavingServers === null) {
        return yield* Result.fail("nothing would change")
      }
      return { joiningServers, leavingServers, newMembers, curConfigId: change.version ?? -1n }
    }),
    (problem) => refuse("reconfig", "", problem)
  )
}
