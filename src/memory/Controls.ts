/** The controls of a test: each is a change of {@link Faults}, or an act on the server. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import { ErrorCode } from "../jute/ErrorCode.ts"
import * as Jute from "../jute/Jute.ts"
import { OpCode } from "../jute/OpCode.ts"
import { MultiRequest, MultiResponse } from "../jute/Protocol.ts"
import type { Controls, CorruptHow } from "../ZooKeeperTest.ts"
import type { Direction, Faults, ReplyAction } from "./Faults.ts"
import { encodeReply, framed, type Network, type Reply, type Request } from "./Network.ts"

const multiRequest = Jute.layoutOf(MultiRequest)
const multiResponse = Jute.layoutOf(MultiResponse)

const isOrdinary = ({ operation, xid }: Reply): boolean => xid > 0 && operation !== "connect"

const payloadOf = (writer: Jute.Writer): Uint8Array => {
  const size = writer.end()
  return new Uint8Array(writer.bytes.subarray(4, 4 + size))
}

/** A failed transaction names its culprit in the results; the header knows of none. */
const failedTransaction = (frame: Uint8Array, code: number): Uint8Array | undefined => {
  try {
    const count: number = multiRequest.read(new Jute.Reader().reset(frame, 8)).length
    const writer = new Jute.Writer(64 * (1 + count))
    writer.begin()
    multiResponse.write(
      writer,
      Array.from({ length: count }, (_, index) => ({
        type: OpCode.Error,
        err: index === 0 ? code : ErrorCode.RuntimeInconsistency
      }))
    )
    return count === 0 ? undefined : payloadOf(writer)
  } catch {
    // What cannot be read is refused as a whole.
    return undefined
  }
}

/** Codes that are about the request as a whole, also where it is a transaction. */
const ofTheWhole: ReadonlySet<number> = new Set([
  ErrorCode.Unimplemented,
  ErrorCode.MarshallingError,
  ErrorCode.SessionExpired,
  ErrorCode.SessionMoved,
  ErrorCode.NotReadOnly,
  ErrorCode.AuthFailed,
  ErrorCode.Throttled
])

const refusal = ({ opCode, xid }: Request, frame: Uint8Array, code: number): Uint8Array => {
  const body = opCode === OpCode.Multi && !ofTheWhole.has(code) ? failedTransaction(frame, code) : undefined
  if (body !== undefined) return encodeReply({ xid, body })
  return encodeReply({ xid, err: code, zxid: code === ErrorCode.Unimplemented ? -1n : 0n })
}

const corrupted = (how: CorruptHow, frame: Uint8Array, luck: number): ReplyAction => {
  const changed = new Uint8Array(frame)
  switch (how) {
    case "length":
      return { _tag: "Raw", bytes: Uint8Array.of(255, 255, 255, 255) }
    case "truncated":
      return { _tag: "Raw", bytes: framed(changed.subarray(0, Math.max(1, Math.floor(luck * changed.length)))) }
    case "xid":
      new DataView(changed.buffer).setInt32(0, 0x7fff_fff0)
      return { _tag: "Replace", bytes: changed }
    case "bit": {
      const bit = Math.floor(luck * changed.length * 8)
      changed[bit >>> 3] = (changed[bit >>> 3] ?? 0) ^ 1 << (bit & 7)
      return { _tag: "Replace", bytes: changed }
    }
  }
}

const directions = (direction: Direction | "both"): ReadonlyArray<Direction> =>
  direction === "both" ? ["toServer", "toClient"] : [direction]

export const make = (network: Network, faults: Faults, options: {
  /** The sessions that are concerned, now. */
  readonly sessions: () => ReadonlyArray<bigint>
  /** A server other than this one. */
  readonly otherThan: (listener: string) => string
}): Controls => {
  const connections = () => [...network.connections].filter((connection) => faults.concerns(connection))
  return {
    expireSession: Effect.sync(() => {
      for (const id of options.sessions()) network.server.expireSession(id)
    }),
    disconnect: (how = "cut") =>
      Effect.sync(() => {
        for (const connection of connections()) {
          if (how === "cut") connection.cut()
          else connection.kill()
        }
      }),
    refuseConnections: (refused = true) =>
      Effect.sync(() =>
        faults.change(() => {
          faults.refused = refused
        })
      ),
    muteConnections: (muted = true) =>
      Effect.sync(() =>
        faults.change(() => {
          faults.muted = muted
        })
      ),
    freeze: (direction = "both") =>
      Effect.sync(() =>
        faults.change(() => {
          for (const each of directions(direction)) faults.frozen[each] = true
        })
      ),
    thaw: Effect.sync(() =>
      faults.change(() => {
        faults.frozen.toServer = faults.frozen.toClient = false
      })
    ),
    delay: (duration) =>
      Effect.sync(() =>
        faults.change(() => {
          faults.delay = Duration.toMillis(duration)
        })
      ),
    splitBytes: (split = true) =>
      Effect.sync(() =>
        faults.change(() => {
          faults.split = split
        })
      ),
    cutAfterBytes: (bytes, direction = "toClient") =>
      Effect.sync(() => {
        if (bytes <= 0) for (const connection of connections()) connection.cut()
        else {
          faults.change(() => {
            faults.budget[direction] = bytes
          })
        }
      }),
    loseReply: (predicate = isOrdinary, { times = 1 } = {}) =>
      Effect.sync(() => {
        let left = times
        const remove = faults.onReply((reply) => {
          if (left <= 0 || !predicate(reply)) return undefined
          if (--left === 0) remove()
          return { _tag: "Cut" }
        })
      }),
    failNext: (operation, error, { times = 1 } = {}) =>
      Effect.sync(() => {
        const code = typeof error === "number" ? error : ErrorCode[error]
        let left = times
        const remove = faults.onRequest((request, frame) => {
          if (left <= 0 || request.operation !== operation) return undefined
          if (--left === 0) remove()
          return { _tag: "Answer", bytes: refusal(request, frame, code), close: code === ErrorCode.Unimplemented }
        })
      }),
    corruptFrame: (how = "length", predicate = isOrdinary) =>
      Effect.map(Random.next, (luck) => {
        const remove = faults.onReply((reply, frame) => {
          if (!predicate(reply)) return undefined
          remove()
          return corrupted(how, frame, luck)
        })
      }),
    moveSession: (to) =>
      Effect.sync(() => {
        for (const { listener, sessionId } of connections()) {
          network.server.moveSession(sessionId, to ?? options.otherThan(listener))
        }
      }),
    onRequest: (hook) =>
      Effect.asVoid(Effect.acquireRelease(
        Effect.sync(() => faults.onRequest(hook)),
        (remove) => Effect.sync(remove)
      )),
    onReply: (hook) =>
      Effect.asVoid(Effect.acquireRelease(
        Effect.sync(() => faults.onReply(hook)),
        (remove) => Effect.sync(remove)
      )),
    release: Effect.sync(() => {
      for (const connection of connections()) connection.release()
    }),
    heal: Effect.sync(() => {
      for (const connection of connections()) connection.release()
      faults.heal()
    })
  }
}
