/**
 * Four-letter words: four bytes on a fresh connection, which the server answers
 * with text before it closes. They need no session, and a server answers them
 * also while it has no quorum.
 *
 * Meant for words that only ask, so that a failure has no outcome to wonder
 * about.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Socket from "effect/socket/Socket"
import type { ServerFacts } from "../ServerFacts.ts"
import {
  ConnectionError,
  ConnectionLoss,
  Protocol,
  type Reason,
  RequestTimeout,
  TooLarge,
  Unimplemented
} from "../ZooKeeperError.ts"

const failure = (operation: string, reason: Reason): ConnectionError =>
  new ConnectionError({ reason, outcome: "NotApplied", operation })

/** In bytes; the words that a client needs are answered in less than one KiB. */
const MaxSize = 256 * 1024

const isEnd = ({ reason }: Socket.SocketError): boolean => reason._tag === "SocketCloseError" && reason.code === 1000

const describe = ({ reason }: Socket.SocketError): string =>
  "cause" in reason && reason.cause instanceof Error && reason.cause.message !== ""
    ? `${reason.message} (${reason.cause.message})`
    : reason.message

const exchange = Effect.fnUntraced(function*(socket: Socket.Socket, word: string) {
  const pull = yield* Socket.readerBytes(socket)
  // Its scope is the connection's: released earlier, it would half-close, and the server hang up unheard.
  const writer = yield* socket.writer
  yield* writer.write(word)
  const decoder = new TextDecoder()
  let text = ""
  let size = 0
  while (true) {
    const chunks = yield* Effect.catchIf(pull, isEnd, () => Effect.undefined)
    if (chunks === undefined) return text
    for (const chunk of chunks) {
      size += chunk.length
      text += decoder.decode(chunk, { stream: true })
    }
    if (size > MaxSize) {
      return yield* failure(word, new TooLarge({ what: "reply", size, limit: MaxSize }))
    }
  }
}, Effect.scoped)

/**
 * Dials, sends the word, and returns what the server says until it closes; that
 * may be that it does not answer this word. Fails with `RequestTimeout` when
 * all of it takes longer than `timeout`, with `TooLarge` beyond 256 KiB, and with
 * `ConnectionLoss` when there is no connection or no answer.
 *
 * @category requests
 * @since 0.1.0
 */
export const send = (
  socket: Socket.Socket,
  word: string,
  timeout: Duration.Input
): Effect.Effect<string, ConnectionError> =>
  exchange(socket, word).pipe(
    Effect.catchTag("SocketError", (error) =>
      Effect.fail(failure(word, new ConnectionLoss({ detail: describe(error) })))),
    Effect.filterOrFail(
      (text) => text !== "",
      () => failure(word, new ConnectionLoss({ detail: "the server closed without an answer" }))
    ),
    Effect.timeoutOrElse({
      duration: timeout,
      orElse: () => Effect.fail(failure(word, new RequestTimeout({ millis: Duration.toMillis(timeout) })))
    })
  )

const Word = "srvr"

/** `key: value` lines; vendors differ in the spaces around the colon. */
const linesOf = (text: string): ReadonlyMap<string, string> => {
  const lines = new Map<string, string>()
  for (const line of text.split("\n")) {
    const colon = line.indexOf(":")
    if (colon > 0) lines.set(line.slice(0, colon).trim(), line.slice(colon + 1).trim())
  }
  return lines
}

/** Only what begins like a version: unexpanded placeholders, revisions and build dates follow it, or stand for it. */
const parseVersion = (text: string): string | undefined => /^\d+(\.\d+)+/.exec(text)?.[0]

const refusalIn = (text: string): Reason | undefined =>
  text.includes("is not in the whitelist")
    ? new Unimplemented({ operation: `the four-letter word ${Word} (4lw.commands.whitelist)` })
    : text.includes("not currently serving requests")
    ? new ConnectionLoss({ detail: "the server does not serve requests, it may have no quorum" })
    : undefined

/**
 * What a server answered to `srvr`. Fails with `Unimplemented` if the word is
 * not in the server's whitelist, with `ConnectionLoss` while it serves no
 * requests, and with `Protocol` if the text is something else.
 *
 * @category parsing
 * @since 0.1.0
 */
export const parseServerFacts = (text: string): Result.Result<ServerFacts, ConnectionError> =>
  Result.gen(function*() {
    const refusal = refusalIn(text)
    if (refusal !== undefined) return yield* Result.fail(failure(Word, refusal))

    const lines = linesOf(text)
    const line = (key: string, pattern: RegExp): Result.Result<string, ConnectionError> => {
      const value = lines.get(key)
      if (value !== undefined && pattern.test(value)) return Result.succeed(value)
      const detail = `no good line "${key}" in the answer to ${Word}: ${JSON.stringify(text.slice(0, 200))}`
      return Result.fail(failure(Word, new Protocol({ detail })))
    }
    const count = (key: string) => Result.map(line(key, /^\d+$/), Number)

    const latency = yield* line("Latency min/avg/max", /^\d+\/\d+(\.\d+)?\/\d+$/)
    const [min = 0, average = 0, max = 0] = latency.split("/").map(Number)
    const [, versionText = ""] = Array.from(lines).find(([key]) => key.endsWith("version")) ?? []
    return {
      version: parseVersion(lines.get("Zookeeper version") ?? ""),
      versionText,
      mode: yield* line("Mode", /./),
      // ClickHouse Keeper prints it in decimal.
      zxid: BigInt(yield* line("Zxid", /^(0x[0-9a-f]+|\d+)$/)),
      connections: yield* count("Connections"),
      nodeCount: yield* count("Node count"),
      outstanding: yield* count("Outstanding"),
      received: yield* count("Received"),
      sent: yield* count("Sent"),
      latency: { min, average, max }
    }
  })

/**
 * Asks a server with `srvr` about itself. Fails like {@link send} and
 * {@link parseServerFacts}.
 *
 * @category requests
 * @since 0.1.0
 */
export const serverFacts = (
  socket: Socket.Socket,
  timeout: Duration.Input
): Effect.Effect<ServerFacts, ConnectionError> =>
  Effect.flatMap(send(socket, Word, timeout), (text) => Effect.fromResult(parseServerFacts(text)))
