/**
 * What servers say when they are asked over a connection beside the session's.
 */
import * as Effect from "effect/Effect"
import type * as Socket from "effect/socket/Socket"
import type { Host } from "../ConnectionString.ts"
import type { ConnectionError } from "../ZooKeeperError.ts"
import * as FourLetterWord from "./FourLetterWord.ts"

type Dial = (host: Host) => Effect.Effect<Socket.Socket>

const patience = "1 second"

const ask = (dial: Dial, host: Host, word: string): Effect.Effect<string, ConnectionError> =>
  Effect.flatMap(dial(host), (socket) => FourLetterWord.send(socket, word, patience))

/** Whether a server serves writes. One that does not answer does not. */
export const hasQuorum = (dial: Dial, host: Host): Effect.Effect<boolean> => {
  const mode = Effect.map(ask(dial, host, "srvr"), (text) => /^Mode: (leader|follower|observer|standalone)/m.test(text))
  return ask(dial, host, "isro").pipe(
    // Where that word is not in the whitelist, what the server says about itself nearly always is.
    Effect.flatMap((answer) => /^(rw|ro|null)\s*$/.test(answer) ? Effect.succeed(answer.startsWith("rw")) : mode),
    Effect.orElseSucceed(() => false)
  )
}

/** The newest transaction that any of the servers has; fails where one of them does not tell. */
export const newestZxid = (dial: Dial, hosts: ReadonlyArray<Host>): Effect.Effect<bigint, ConnectionError> =>
  Effect.map(
    Effect.forEach(
      hosts,
      (host) => Effect.flatMap(dial(host), (socket) => FourLetterWord.serverFacts(socket, patience)),
      { concurrency: "unbounded" }
    ),
    (facts) => facts.reduce((newest, { zxid }) => zxid > newest ? zxid : newest, 0n)
  )
