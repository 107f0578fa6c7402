/**
 * Whether a port that hung up on us in silence speaks TLS: ZooKeeper's secure
 * port does that to plain clients, and so do servers that have no quorum or too
 * many connections. A person who forgot the option `tls` should learn so.
 */
import * as Effect from "effect/Effect"
import * as Socket from "effect/socket/Socket"

const record = 0x16
const alert = 0x15

/** The least that a TLS server must answer, be it with a refusal: TLS 1.2, two ciphers, no extension. */
const clientHello = Uint8Array.from([
  ...[record, 3, 1, 0, 47],
  ...[1, 0, 0, 43],
  ...[3, 3],
  ...Array.from({ length: 32 }, () => 0x7a),
  0,
  ...[0, 4, 0xc0, 0x2f, 0xc0, 0x2b],
  ...[1, 0]
])

/** Says hello and looks at the first bytes of the answer. */
export const speaksTls = (socket: Socket.Socket): Effect.Effect<boolean> =>
  Effect.gen(function*() {
    const pull = yield* Socket.readerBytes(socket)
    const writer = yield* socket.writer
    yield* writer.write(clientHello)
    const [[type, major] = []] = yield* pull
    return (type === record || type === alert) && major === 3
  }).pipe(
    Effect.scoped,
    Effect.timeoutOption("1 second"),
    Effect.map((answer) => answer._tag === "Some" && answer.value),
    Effect.orElseSucceed(() => false)
  )
