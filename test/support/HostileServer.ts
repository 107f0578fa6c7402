/**
 * A server that is honest for a while and then, on each of its first
 * connections, does something that no server may do. What it does and when is
 * drawn from a seed.
 */
import * as Effect from "effect/Effect"
import type * as Socket from "effect/socket/Socket"
import type { Host } from "../../src/ConnectionString.ts"
import * as InProcessSocket from "../../src/memory/InProcessSocket.ts"
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

/** One of the frames that an honest server sent, its length in front, and what goes out instead. */
type Deed = (honest: Uint8Array, send: (bytes: Uint8Array) => void, draw: Draw) => void

const changed = (honest: Uint8Array, at: number, value: number): Uint8Array => {
  const copy = honest.slice()
  if (at + 4 <= copy.length) copy.set(int(value), at)
  return copy
}

/** Everything that this server does to its clients; each leaves the connection open, unless it cannot. */
export const deeds: Readonly<Record<string, Deed>> = {
  "random bytes": (_, send, draw) => send(noise(draw, 1 + whole(draw, 512))),
  "a frame of random bytes": (_, send, draw) => send(frame(noise(draw, whole(draw, 512)))),
  "length -1": (_, send) => send(int(-1)),
  "length 0": (_, send) => send(int(0)),
  "length -2^31": (_, send) => send(int(-(2 ** 31))),
  "length 2^31-1, and no end": (_, send, draw) => {
    send(int(2 ** 31 - 1))
    for (let n = 0; n < 64; n++) send(noise(draw, 64))
  },
  "a frame that never ends": (honest, send) => send(changed(honest, 0, honest.length + 1000)),
  "a frame cut short": (honest, send) => {
    const short = honest.slice(0, Math.max(5, honest.length - 3))
    send(changed(short, 0, short.length - 4))
  },
  "a reply to an unknown xid": (honest, send) => send(changed(honest, 4, 0x7ead_beef)),
  "a reply to the xid before": (honest, send) =>
    send(changed(honest, 4, new DataView(honest.buffer, honest.byteOffset).getInt32(4) - 1)),
  "every reply twice": (honest, send) => {
    send(honest)
    send(honest)
  },
  "a reply for nothing": (honest, send) => {
    send(frame(int(77, 0, 1, 0)))
    send(honest)
  },
  "an unknown error code": (honest, send) => send(changed(honest, 16, -9999)),
  "an error for a ping": (honest, send) => {
    send(frame(int(-2, 0, 1, -9999)))
    send(honest)
  },
  "an authentication that nobody asked for": (honest, send) => {
    send(frame(int(-4, 0, 1, -9999)))
    send(honest)
  },
  "an empty body": (honest, send) => send(changed(honest.slice(0, 20), 0, 16)),
  "a count of 2^31-1": (honest, send) => send(changed(honest, 20, 2 ** 31 - 1)),
  "a count of -2": (honest, send) => send(changed(honest, 20, -2)),
  "a bit turned": (honest, send, draw) => {
    const copy = honest.slice()
    const at = whole(draw, copy.length)
    copy[at] = (copy[at] ?? 0) ^ 1 << whole(draw, 8)
    send(copy)
  },
  "events for paths that nobody watches": (honest, send) => {
    for (let n = 0; n < 1000; n++) send(event(1 + n % 4, 3, `/nobody/${n}`))
    send(honest)
  },
  "events of unknown kinds": (honest, send) => {
    for (const type of [0, 5, 77, -1, 2 ** 31 - 1]) send(event(type, type, "/a"))
    send(honest)
  },
  "events for the path that is watched, without end": (honest, send) => {
    for (let n = 0; n < 20_000; n++) send(event(3, 3, "/a"))
    send(honest)
  },
  "every byte alone, then a wrong one": (honest, send) => {
    for (const byte of honest) send(Uint8Array.of(byte))
    send(int(-1))
  },
  "a reply of 256 MiB": (honest, send) => {
    const size = 2 ** 28
    send(changed(honest.slice(0, 20), 0, size))
    const chunk = new Uint8Array(2 ** 16)
    for (let left = size - 16; left > 0; left -= chunk.length) send(chunk.subarray(0, Math.min(left, chunk.length)))
  },
  "nothing any more": () => {}
}

export interface HostileServer {
  readonly dial: (host: Host) => Effect.Effect<Socket.Socket>
  /** How often it was dialled. */
  readonly dials: () => number
  /** How often it did the deed. */
  readonly deeds: () => number
  /** From now on it is honest. */
  readonly repent: () => void
}

/** Behaves like `server` up to the `after`-th frame of each connection (the handshake is the first), then does the deed. */
export const make = (server: Server, options: {
  readonly deed: Deed
  readonly after: number
  readonly draw: Draw
}): HostileServer => {
  let dials = 0
  let deedsDone = 0
  let honest = false
  const accept = (link: Link): Peer => {
    dials++
    let sent = 0
    let done = false
    return server.accept({
      ...link,
      send: (bytes) => {
        if (honest && !done) return link.send(bytes)
        // The in-memory server sends whole frames.
        for (let at = 0; at < bytes.length;) {
          const end = at + 4 + new DataView(bytes.buffer, bytes.byteOffset).getInt32(at)
          const next = bytes.slice(at, end)
          at = end
          if (sent++ < options.after) link.send(next)
          else if (!done || options.deed === deeds["nothing any more"]) {
            done = true
            deedsDone++
            options.deed(next, link.send, options.draw)
          } else link.send(next)
        }
      }
    })
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
    dials: () => dials,
    deeds: () => deedsDone,
    repent: () => {
      honest = true
    }
  }
}
