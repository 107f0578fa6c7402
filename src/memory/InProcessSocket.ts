/**
 * A socket to the in-memory server in the same process. What is sent arrives
 * within the same turn of the event loop, and never inside the call that sends.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Socket from "effect/socket/Socket"
import type { Client } from "./Faults.ts"
import type { Network } from "./Network.ts"
import type { Peer } from "./Server.ts"

const failure = (reason: Socket.SocketErrorReason): Socket.SocketError => new Socket.SocketError({ reason })

const closed = (code: number): Socket.SocketError => failure(new Socket.SocketCloseError({ code }))

const refused = (listener: string): Socket.SocketError =>
  failure(new Socket.SocketOpenError({ kind: "Unknown", cause: new Error(`connection refused: ${listener}`) }))

/** What a socket asks of the network that it is part of. */
export type Carrier = Pick<Network, "accept" | "soon">

type Chunks = readonly [Uint8Array, ...Array<Uint8Array>]

type Read = Exit.Exit<Chunks, Socket.SocketError>

/** What came and was not yet pulled, and who waits for it. */
class Inbox {
  private readonly network: Carrier
  private chunks: Array<Uint8Array> = []
  private failed: Socket.SocketError | undefined
  private waiter: ((read: Read) => void) | undefined
  private isWaking = false

  constructor(network: Carrier) {
    this.network = network
  }

  push(bytes: Uint8Array): void {
    if (this.failed !== undefined) return
    this.chunks.push(bytes)
    this.wake()
  }

  fail(error: Socket.SocketError): void {
    this.failed ??= error
    this.wake()
  }

  readonly pull: Effect.Effect<Chunks, Socket.SocketError> = Effect.callback((resume) => {
    const read = this.poll()
    if (read !== undefined) return resume(read)
    this.waiter = resume
    return Effect.sync(() => {
      if (this.waiter === resume) this.waiter = undefined
    })
  })

  private wake(): void {
    if (this.waiter === undefined || this.isWaking) return
    this.isWaking = true
    this.network.soon(() => {
      this.isWaking = false
      const { waiter } = this
      const read = waiter === undefined ? undefined : this.poll()
      if (waiter === undefined || read === undefined) return
      this.waiter = undefined
      waiter(read)
    })
  }

  private poll(): Read | undefined {
    const [first, ...rest] = this.chunks
    if (first !== undefined) {
      this.chunks = []
      return Exit.succeed([first, ...rest])
    }
    return this.failed === undefined ? undefined : Exit.fail(this.failed)
  }
}

/** A socket to one listener; each acquisition of its reader is a connection. */
export const make = (network: Carrier, options: {
  readonly listener: string
  readonly remoteAddress: string
  readonly client: Client
}): Socket.Socket => {
  let peer: Peer | undefined
  const written = (write: (open: Peer) => void): Effect.Effect<void, Socket.SocketError> =>
    Effect.suspend(() => {
      if (peer === undefined) return Effect.fail(failure(new Socket.SocketWriteError({ cause: "the socket is not open" })))
      write(peer)
      return Effect.void
    })
  const encoder = new TextEncoder()
  const send = (open: Peer, chunk: Uint8Array | string | Socket.CloseEvent): void => {
    if (Socket.isCloseEvent(chunk)) open.closed()
    else open.receive(typeof chunk === "string" ? encoder.encode(chunk) : chunk)
  }
  return Socket.make({
    reader: Effect.gen(function*() {
      const inbox = new Inbox(network)
      const opened = yield* Effect.acquireRelease(
        Effect.sync(() =>
          network.accept({
            remoteAddress: options.remoteAddress,
            listener: options.listener,
            send: (bytes) => inbox.push(bytes),
            close: () => inbox.fail(closed(1000))
          }, options.client)
        ),
        (accepted) =>
          Effect.sync(() => {
            inbox.fail(closed(1006))
            accepted?.closed()
            if (peer === accepted) peer = undefined
          })
      )
      if (opened === undefined) return yield* refused(options.listener)
      peer = opened
      return { pull: inbox.pull, upgrade: Socket.SocketUpgradeError.unsupported }
    }),
    writer: Effect.succeed({
      write: (chunk) => written((open) => send(open, chunk)),
      writeAll: (chunks) => written((open) => chunks.forEach((chunk) => send(open, chunk)))
    })
  })
}
