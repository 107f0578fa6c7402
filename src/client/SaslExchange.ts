/**
 * Holds the conversation of a SASL mechanism over a fresh connection. Nothing
 * else is sent meanwhile: servers answer tokens out of order with the rest.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type { Host } from "../ConnectionString.ts"
import * as Protocol from "../jute/Protocol.ts"
import type { Mechanism, SaslError } from "../Sasl.ts"
import { AuthFailed, ConnectionError, ConnectionLoss } from "../ZooKeeperError.ts"
import type { Connection } from "./Connection.ts"
import { call, Pending } from "./Request.ts"

const empty = new Uint8Array(0)

const sasl = call("sasl", Protocol.operations.sasl, { value: ({ token }) => token ?? empty })

/** No mechanism needs more turns than this; a server that goes on asking is not one to talk to. */
const mostTurns = 16

const failed = (mechanism: Mechanism, detail: string): ConnectionError =>
  new ConnectionError({
    reason: new AuthFailed({ scheme: "sasl", detail: `${mechanism.name}: ${detail}` }),
    outcome: "NotApplied",
    operation: "sasl"
  })

const given = (mechanism: Mechanism, { detail, isPassing }: SaslError): ConnectionError =>
  isPassing
    ? new ConnectionError({
      reason: new ConnectionLoss({ detail: `${mechanism.name}: ${detail}` }),
      outcome: "NotApplied",
      operation: "sasl"
    })
    : failed(mechanism, detail)

/** Completes when both sides are convinced. A refusal by either is `AuthFailed`. */
export const authenticate = (
  connection: Connection,
  mechanism: Mechanism,
  server: Host
): Effect.Effect<void, ConnectionError, Scope.Scope> => {
  const say = (token: Uint8Array) =>
    Effect.callback<Uint8Array, ConnectionError>((resume) =>
      connection.enqueue(Pending.make(sasl, { token }, { path: undefined }, resume))
    )
  return Effect.gen(function*() {
    const exchange = yield* mechanism.start(server)
    let token = exchange.initial
    for (let turn = 0; turn < mostTurns; turn++) {
      const next = yield* exchange.respond(yield* say(token))
      if (Option.isNone(next)) return
      token = next.value
    }
    return yield* failed(mechanism, `the server was not done after ${mostTurns} turns`)
  }).pipe(
    Effect.mapError((error) => {
      if (error._tag === "SaslError") return given(mechanism, error)
      return error.reason._tag === "AuthFailed" && error.reason.detail === undefined
        ? failed(mechanism, "the server refuses the credentials")
        : error
    })
  )
}
