/**
 * A server that is honest for a while and then, at one kind of answer of each
 * connection, does something that no server may do. What it does and when is
 * drawn from a seed; what it does for ever goes by the clock.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Socket from "effect/socket/Socket"
import type { Host } from "../../src/ConnectionString.ts"
import { OpCode } from "../../src/jute/OpCode.ts"
import { FrameCutter } from "../../src/memory/FrameCutter.ts"
import * as InProcessSocket from "../../src/memory/InProcessSocket.ts"
import { connectOpCode } from "../../src/memory/OperationName.ts"
import type { Link, Peer, Server } from "../../src/memory/Server.ts"

/** Draws numbers from 0 to below 1, the same ones for the same seed. */
export const drawFrom = (seed: number) => (): number => {
  seed = seed + 0x6d2b79f5 | 0
  let mixed = Math.imul(seed ^ seed >>> 15, 1 | seed)
  mixed = mixed + Math.imul(mixed ^ mixed >>> 7, 61 | mixed) ^ mixed
  return ((mixed ^ mixed >>> 14) >>> 0) / 2 ** 32
}

type Draw = () => number

const whole = (draw: Draw, below: number): number => Math.floor(draw() * below)

const int = (...values: ReadonlyArray<number>): Uint8Array<ArrayBuffer> => {
  const bytes = new Uint8Array(values.length * 4)
  values.forEach((value, index) => new DataView(bytes.buffer).setInt32(index * 4, value))
  return bytes
}

const frame = (payload: Uint8Array): Uint8Array<ArrayBuffer> => {
  const bytes = new Uint8Array(payload.length + 4)
  bytes.set(int(payload.length))
  bytes.set(payload, 4)
  return bytes
}

const noise = (draw: Draw, length: number): Uint8Array<ArrayBuffer> =>
  Uint8Array.from({ length }, () => whole(draw, 256))

const event = (type: number, state: number, path: string): Uint8Array => {
  const text = new TextEncoder().encode(path)
  return frame(Uint8Array.from([...int(-1, -1, -1, 0, type, state, text.length), ...text]))
}

/** The answer in place of which a deed is done, and what it is done with. */
export interface Turn {
  /** What an honest server sent: a frame, its length in front, or the answer to a four-letter word. */
  readonly honest: Uint8Array
  readonly send: (bytes: Uint8Array) => void
  readonly draw: Draw
  /** Now and every so many ms, until the client hangs up. */
  readonly every: (millis: number, go: () => void) => void
  /** Nothing honest follows on this connection. */
  readonly fallSilent: () => void
}

export type Deed = (turn: Turn) => void

const intAt = (bytes: Uint8Array, at: number): number =>
  at + 4 <= bytes.length ? new DataView(bytes.buffer, bytes.byteOffset).getInt32(at) : 0

const changed = (honest: Uint8Array, at: number, value: number): Uint8Array => {
  const copy = honest.slice()
  if (at + 4 <= copy.length) copy.set(int(value), at)
  return copy
}

/** What this server does to its clients and is done with; each leaves the connection open, unless it cannot. */
export const deeds: Readonly<Record<string, Deed>> = {
  "random bytes": ({ draw, send }) => send(noise(draw, 1 + whole(draw, 512))),
  "a frame of random bytes": ({ draw, send }) => send(frame(noise(draw, whole(draw, 512)))),
  "length -1": ({ send }) => send(int(-1)),
  "length 0": ({ send }) => send(int(0)),
  "length -2^31": ({ send }) => send(int(-(2 ** 31))),
  "length 2^31-1, and no end": ({ draw, send }) => {
    send(int(2 ** 31 - 1))
    for (let n = 0; n < 64; n++) send(noise(draw, 64))
  },
  "a frame that never ends": ({ honest, send }) => send(changed(honest, 0, honest.length + 1000)),
  "a frame cut short": ({ honest, send }) => {
    const short = honest.slice(0, Math.max(5, honest.length - 3))
    send(changed(short, 0, short.length - 4))
  },
  "a reply to an unknown xid": ({ honest, send }) => send(changed(honest, 4, 0x7ead_beef)),
  "a reply to the xid before": ({ honest, send }) => send(changed(honest, 4, intAt(honest, 4) - 1)),
  "every reply twice": ({ honest, send }) => {
    send(honest)
    send(honest)
  },
  "a reply for nothing": ({ honest, send }) => {
    send(frame(int(77, 0, 1, 0)))
    send(honest)
  },
  "an unknown error code": ({ honest, send }) => send(changed(honest, 16, -9999)),
  "an error for a ping": ({ honest, send }) => {
    send(frame(int(-2, 0, 1, -9999)))
    send(honest)
  },
  "an authentication that nobody asked for": ({ honest, send }) => {
    send(frame(int(-4, 0, 1, -9999)))
    send(honest)
  },
  "an empty body": ({ honest, send }) => send(changed(honest.slice(0, 20), 0, 16)),
  "a count of 2^31-1": ({ honest, send }) => send(changed(honest, 20, 2 ** 31 - 1)),
  "a count of -2": ({ honest, send }) => send(changed(honest, 20, -2)),
  "a bit turned": ({ draw, honest, send }) => {
    const copy = honest.slice()
    const at = whole(draw, copy.length)
    copy[at] = (copy[at] ?? 0) ^ 1 << whole(draw, 8)
    send(copy)
  },
  "events for paths that nobody watches": ({ honest, send }) => {
    for (let n = 0; n < 1000; n++) send(event(1 + n % 4, 3, `/nobody/${n}`))
    send(honest)
  },
  "events of unknown kinds": ({ honest, send }) => {
    for (const type of [0, 5, 77, -1, 2 ** 31 - 1]) send(event(type, type, "/a"))
    send(honest)
  },
  "every byte alone, then a wrong one": ({ honest, send }) => {
    for (const byte of honest) send(Uint8Array.of(byte))
    send(int(-1))
  },
  "a reply of 32 MiB": ({ honest, send }) => {
    const size = 2 ** 25
    send(changed(honest.slice(0, 20), 0, size))
    const chunk = new Uint8Array(2 ** 16)
    for (let left = size - 16; left > 0; left -= chunk.length) send(chunk.subarray(0, Math.min(left, chunk.length)))
  },
  "nothing any more": ({ fallSilent }) => fallSilent()
}

/** In ms. */
const period = 250
/** In bytes. */
const volume = 2 ** 19
const variety = 4

/** Half a MiB four times a second, of as many pieces as there are in it; the same again after two MiB. */
const flood = (piece: (n: number) => Uint8Array): Deed => {
  let n = 0
  const chunks = Array.from({ length: variety }, () => {
    const chunk = new Uint8Array(volume)
    let size = 0
    for (let next = piece(n); size + next.length <= volume; next = piece(++n)) {
      chunk.set(next, size)
      size += next.length
    }
    return chunk.subarray(0, size)
  })
  return ({ every, send }) => {
    let turn = 0
    every(period, () => send(chunks[turn++ % variety]?.slice() ?? new Uint8Array()))
  }
}

const chance = drawFrom(1)

/** What this server does to its clients for as long as they let it. */
export const endless = {
  "events for a path that is watched": flood(() => event(3, 3, "/a")),
  "events for ever new paths": flood((n) => event(1 + n % 3, 3, n % 2 === 0 ? `/a/${n}` : `/nobody/${n}`)),
  "answers to pings that nobody sent": flood(() => frame(int(-2, 0, 1, 0))),
  "replies for nothing": flood((n) => frame(int(n, 0, 1, 0))),
  "random bytes": flood(() => noise(chance, 2 ** 10)),
  "a frame of 1 GiB": flood((n) => n === 0 ? int(2 ** 30 - 1) : new Uint8Array(2 ** 10)),
  "frames beyond the limit": flood(() => frame(new Uint8Array(2 ** 17))),
  "a byte now and then": ({ every, fallSilent, honest, send }) => {
    const slow = changed(honest, 0, honest.length + 1000)
    let at = 0
    fallSilent()
    every(700, () => send(Uint8Array.of(slow[at++] ?? 0)))
  }
} satisfies Record<string, Deed>

/** Those of them that no client need take for a fault. */
export const borne: ReadonlyArray<keyof typeof endless> = [
  "events for a path that is watched",
  "events for ever new paths",
  "answers to pings that nobody sent",
  "a frame of 1 GiB"
]

const wordOpCode = 0

/** Whether an answer is the one for a deed: what it answers, and how many such answers the connection had before. */
type State = (opCode: number, before: number) => boolean

const at = (...opCodes: ReadonlyArray<number>): State => (opCode) => opCodes.includes(opCode)

/** Where a connection is when the deed is done. */
export const states = {
  "in the handshake": at(connectOpCode),
  "in the exchange of SASL": at(OpCode.Sasl),
  "while identities are shown": at(OpCode.Auth),
  "while watches are set again": at(OpCode.SetWatches, OpCode.SetWatches2),
  "at a new watch": at(OpCode.AddWatch),
  "at a ping": at(OpCode.Ping),
  "at the first read": (opCode, before) => opCode === OpCode.GetData && before === 0,
  "at the third read": (opCode, before) => opCode === OpCode.GetData && before === 2,
  "at the end of the session": at(OpCode.CloseSession),
  "at a four-letter word": at(wordOpCode)
} satisfies Record<string, State>

export interface HostileServer {
  readonly dial: (host: Host) => Effect.Effect<Socket.Socket>
  /** When it was dialled, in ms. */
  readonly dials: ReadonlyArray<number>
  /** How often it did the deed. */
  readonly deeds: () => number
  /** How many bytes it sent in doing so. */
  readonly sent: () => number
  /** Hangs up on everybody. */
  readonly cut: () => void
  /** From now on it is honest, but where it is at its deed. */
  readonly repent: () => void
}

/** Behaves like `server`, but for the deed that it does once on each connection. */
export const make = Effect.fnUntraced(function*(server: Server, options: {
  readonly deed: Deed
  readonly state: State
  readonly draw: Draw
}): Effect.fn.Return<HostileServer> {
  const clock = yield* Clock.Clock
  const fork = Effect.runForkWith(yield* Effect.context())
  const dials: Array<number> = []
  const links = new Set<Link>()
  let deedsDone = 0
  let bytesSent = 0
  let honest = false

  const accept = (link: Link): Peer => {
    dials.push(clock.currentTimeMillisUnsafe())
    links.add(link)
    const asked = new Map<number, number>()
    const before = new Map<number, number>()
    const running: Array<Fiber.Fiber<void>> = []
    let isHandshake = true
    let isWord = false
    let isDone = false
    let isSilent = false

    const answer = (bytes: Uint8Array, opCode: number): void => {
      const count = before.get(opCode) ?? 0
      before.set(opCode, count + 1)
      if (isSilent) return
      if (honest || isDone || !options.state(opCode, count)) return link.send(bytes)
      isDone = true
      deedsDone++
      options.deed({
        honest: bytes,
        draw: options.draw,
        send: (wrong) => {
          bytesSent += wrong.length
          link.send(wrong)
        },
        every: (millis, go) => {
          const step = Effect.andThen(Effect.sync(go), Effect.sleep(millis))
          running.push(fork(Effect.forever(step)))
        },
        fallSilent: () => {
          isSilent = true
        }
      })
    }
    const peer = server.accept({
      ...link,
      send: (bytes) => {
        if (isWord) return answer(bytes, wordOpCode)
        // The in-memory server sends whole frames.
        for (let start = 0; start < bytes.length;) {
          const end = start + 4 + intAt(bytes, start)
          const xid = intAt(bytes, start + 4)
          answer(bytes.slice(start, end), isHandshake ? connectOpCode : asked.get(xid) ?? -1)
          asked.delete(xid)
          isHandshake = false
          start = end
        }
      },
      close: () => {
        if (!isDone) link.close()
      }
    })
    const requests = new FrameCutter<never>(server.maxBuffer, {
      decide: (bytes, start, end) => {
        if (before.size > 0 && end - start >= 12) asked.set(intAt(bytes, start + 4), intAt(bytes, start + 8))
        return undefined
      },
      apply: () => {},
      pass: (bytes) => {
        isWord ||= requests.isRaw
        peer.receive(bytes)
      }
    })
    return {
      receive: (bytes) => requests.push(bytes),
      closed: () => {
        links.delete(link)
        for (const fiber of running) fiber.interruptUnsafe()
        peer.closed()
      }
    }
  }
  return {
    dial: ({ host, port }) =>
      Effect.sync(() =>
        InProcessSocket.make({ accept, soon: queueMicrotask }, {
          listener: `${host}:${port}`,
          remoteAddress: "127.0.0.1",
          client: { sessionId: 0n }
        })
      ),
    dials,
    deeds: () => deedsDone,
    sent: () => bytesSent,
    cut: () => {
      for (const link of links) link.close()
    },
    repent: () => {
      honest = true
    }
  }
})
